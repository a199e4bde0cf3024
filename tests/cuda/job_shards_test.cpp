#include "framework/train/step.h"
#include "tests/cuda/job_testing.h"

/// A batch in several logical shards on one GPU.
namespace mtrank {
namespace {

class CudaJobShards : public CudaJob {
 protected:
  void use_shards(int64_t shards) { model_->config.train.logical_shards = shards; }
};

TEST_F(CudaJobShards, FollowTheCpuWithAsMany) {
  for (const int64_t shards : {2, 4, 8, 32}) {  // of 16 rows, and of 6 at the end of an epoch
    SCOPED_TRACE(shards);
    use_shards(shards);
    expect_like_cpu(1e-5, 1e-3);
  }
}

TEST_F(CudaJobShards, FollowTheCpuWithDropoutClippingAndProducts) {
  use({.model = "{bottom: {type: mlp, from: features, hidden: [24, 9], dropout: 0.3}, "
                "experts: {type: mmoe, from: bottom, experts: 2, hidden: [8]}}",
       .tasks = "{click: {tower: {hidden: [6]}}, buy: {trained_as: click * buy, tower: {hidden: [6]}}}"});
  model_->config.train.clip_norm = 0.05;
  use_shards(4);
  expect_like_cpu(1e-5, 1e-3);
}

TEST_F(CudaJobShards, FollowTheCpuInBf16) {
  model_->config.train.precision = Precision::bf16;
  use_shards(4);
  expect_like_cpu(3e-2, 0.2, 4);
}

TEST_F(CudaJobShards, FusedStepsHaveTheBitsOfOthers) {
  use_wide_relus();
  use_shards(2);
  expect_like_unfused(1e-5);
  model_->config.train.precision = Precision::bf16;
  expect_like_unfused(3e-2);
}

TEST_F(CudaJobShards, GradientsAreTheCpus) {
  for (const int64_t shards : {2, 8, 32}) {
    SCOPED_TRACE(shards);
    use_shards(shards);
    Run cpu(*this, DeviceKind::cpu);
    const std::unique_ptr<Accelerator> device = open_accelerator(cpu.job());
    device->upload();
    cpu.next();
    const InputSchema& schema = model_->data->schema();
    const Plan plan = make_plan(cpu.graphs_.training, kBatch);
    HostBatches batches(cpu.config_, plan, schema);
    device->submit(batches.of(cpu.batch_), 1, 1);
    const AcceleratorStep done = device->collect();
    const std::vector<float> gradient = device->gradient();
    TrainStep step(cpu.config_, cpu.graphs_.training, schema, *cpu.state_, pool_, static_cast<int>(shards));
    const StepResult expected = step.run(cpu.batch_, 1, 1);
    EXPECT_NEAR(std::sqrt(done.norm_squared), expected.gradient_norm, 1e-5 * expected.gradient_norm);
    for (const ParameterLayout::Entry& weight : cpu.state_->layout().entries())
      EXPECT_LE(distance(gradient.data() + weight.offset, step.gradient() + weight.offset, weight.size()), 1e-5)
          << weight.name;
  }
}

TEST_F(CudaJobShards, HaveTheSameBitsHoweverTheyAreLaunched) {
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    model_->config.train.precision = precision;
    use_shards(4);
    Run first(*this, DeviceKind::cuda);
    const std::vector<double> losses = first.train(9);
    for (const LaunchOptions& launch :
         {LaunchOptions{}, LaunchOptions{.graph = false}, LaunchOptions{.overlap = false}}) {
      Run other(*this, DeviceKind::cuda, launch);
      EXPECT_EQ(other.train(9), losses);
      EXPECT_EQ(other.hash(), first.hash());
    }
    use_shards(1);
    Run whole(*this, DeviceKind::cuda);
    whole.train(9);
    EXPECT_NE(whole.hash(), first.hash()) << "the order of the sums is another";
  }
}

/// The gradient of four shards is the sum, by the tree, of those of four GPUs with a shard each.
TEST_F(CudaJobShards, AreTheSumOfBatchesOfOneEach) {
  use_shards(4);
  Run run(*this, DeviceKind::cpu);
  run.next();
  const InputSchema& schema = model_->data->schema();
  const Plan plan = make_plan(run.graphs_.training, kBatch);
  HostBatches batches(run.config_, plan, schema);
  const HostBatch whole = batches.of(run.batch_);
  ASSERT_EQ(whole.rows, kBatch);
  const auto gradient_of = [&](const HostBatch& batch, int shards) {
    AcceleratorJob job = run.job();
    job.shards = shards;
    job.batch = batch.rows;
    const std::unique_ptr<Accelerator> device = open_accelerator(job);
    device->upload();
    device->submit(batch, 1, 1);
    EXPECT_TRUE(device->collect().finite);
    return device->gradient();
  };
  const auto quarter = [&](int64_t number) {  // with the whole batch's sums of weights
    const int64_t rows = kBatch / 4, first = number * rows;
    std::vector<View> inputs(whole.inputs.begin(), whole.inputs.end());
    for (View& view : inputs) view = {view.row<float>(first), rows, view.cols, view.ld};
    std::vector<IdsView> ids(whole.ids.begin(), whole.ids.end());
    for (IdsView& view : ids) (view.offsets ? view.offsets : view.ids) += first;
    return gradient_of({rows, whole.first_sample + static_cast<uint64_t>(first), inputs, ids, whole.scalars}, 1);
  };
  const std::vector<float> all = gradient_of(whole, 4), a = quarter(0), b = quarter(1), c = quarter(2), d = quarter(3);
  size_t in_another_order = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i], (a[i] + b[i]) + (c[i] + d[i])) << i;
    in_another_order += all[i] != a[i] + b[i] + c[i] + d[i];
  }
  EXPECT_GT(in_another_order, 0u);
}

TEST_F(CudaJobShards, ArePlannedBeforeAnythingIsTaken) {
  model_->config.eval.batch_size = 1;
  const auto bytes = [&](int64_t shards, const char* what) {
    use_shards(shards);
    Run run(*this, DeviceKind::cpu);
    int64_t sum = 0;
    for (const AcceleratorRegion& region : plan_accelerator(run.job()))
      if (region.what == what) sum += region.bytes;
    return sum;
  };
  EXPECT_LT(bytes(8, "activations"), bytes(1, "activations"));
  EXPECT_EQ(bytes(8, "gradients of the dense weights"), 4 * bytes(1, "gradients of the dense weights"));
}

}  // namespace
}  // namespace mtrank
