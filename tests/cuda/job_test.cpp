#include <gmock/gmock.h>

#include <chrono>
#include <limits>
#include <thread>

#include "framework/core/error.h"
#include "framework/ops/loss.h"
#include "framework/train/step.h"
#include "models/layer.h"
#include "tests/cuda/job_testing.h"

/// A whole job on the GPU against the CPU: steps, scores, state.
namespace mtrank {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Of weights in bf16: the first steps of Adam are as large whatever the gradient, so a small one counts by its sign.
constexpr double kAdamOfSigns = 0.2;

TEST_F(CudaJob, FollowsTheCpu) { expect_like_cpu(1e-5, 1e-3); }

TEST_F(CudaJob, FollowsTheCpuWithEveryOptimizerOfTables) {
  for (const OptimizerInfo& optimizer : optimizer_registry()) {
    if (!serves(optimizer.use, OptimizerUse::tables)) continue;
    SCOPED_TRACE(optimizer.name);
    for (Table& table : model_->config.tables) table.optimizer->type = optimizer.name;
    expect_like_cpu(1e-5, 1e-3, 6);
  }
}

/// Each as its registry entry shows it, behind and before others: a new layer is tested with no test edited.
std::vector<std::pair<std::string, TinyParts>> models_of_every_layer() {
  std::vector<std::pair<std::string, TinyParts>> models;
  for (const LayerInfo* layer : all_layers()) {
    for (const char* example : layer->examples) {
      const std::string settings(example);
      const std::string rest = settings == "{}" ? "}" : ", " + settings.substr(1);
      // add and mul want inputs of one width.
      models.emplace_back(
          std::string(layer->name) + " " + example,
          TinyParts{.model = "{a: {type: mlp, from: features, hidden: [6]}, b: {type: mlp, from: features, hidden: "
                             "[6]}, x: {type: " +
                             std::string(layer->name) + ", from: [a, b]" + rest + "}",
                    .tasks = "{click: {tower: {from: x, hidden: [5]}}, buy: {tower: {from: x}}}"});
    }
  }
  return models;
}

TEST_F(CudaJob, FollowsTheCpuWithEveryLayer) {
  for (const auto& [name, parts] : models_of_every_layer()) {
    SCOPED_TRACE(name);
    use(parts);
    expect_like_cpu(1e-5, 1e-3, 4);
    model_->config.train.precision = Precision::bf16;
    expect_like_cpu(3e-2, kAdamOfSigns, 4);
  }
}

/// The gradients of the layer's weights, of those before it, which need those of its inputs, and of those behind it.
TEST_F(CudaJob, ScoresAndGradientsOfEveryLayerAreTheCpus) {
  for (const auto& [name, parts] : models_of_every_layer()) {
    use(parts);
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      SCOPED_TRACE(name + " " + enum_name(precision));
      const bool exact = precision == Precision::fp32;
      Run cpu(*this, DeviceKind::cpu);
      cpu.config_.train.precision = precision;
      const std::unique_ptr<Accelerator> device = open_accelerator(cpu.job());
      device->upload();
      cpu.next();
      const Batch& batch = cpu.batch_;
      const InputSchema& schema = model_->data->schema();

      std::vector<std::vector<float>> expected;
      cpu.device_->forward().refresh(pool_);
      cpu.device_->forward().run(pool_, batch, expected);
      std::vector<std::vector<float>> actual(expected.size(), std::vector<float>(kBatch));
      std::vector<float*> scores;
      for (std::vector<float>& column : actual) scores.push_back(column.data());
      std::vector<View> inputs;
      std::vector<IdsView> ids;
      BatchBinder(make_plan(cpu.graphs_.scoring, kBatch), schema).bind(batch, 0, inputs, ids);
      device->score({batch.rows, static_cast<uint64_t>(batch.first_sample), inputs, ids, {}}, scores);
      for (size_t o = 0; o < expected.size(); ++o)
        EXPECT_LE(distance(actual[o].data(), expected[o].data(), batch.rows), exact ? 1e-5 : 1e-2) << o;

      const Plan plan = make_plan(cpu.graphs_.training, kBatch);
      HostBatches batches(cpu.config_, plan, schema);
      device->submit(batches.of(batch), 1, 1);
      device->collect();
      const std::vector<float> gradient = device->gradient();
      TrainStep step(cpu.config_, cpu.graphs_.training, schema, *cpu.state_, pool_, 1);
      step.run(batch, 1, 1);
      // In bf16 that of a weight may be the small difference of large ones, and a ReLU's input may cross 0.
      EXPECT_LE(distance(gradient.data(), step.gradient(), cpu.state_->layout().elements()), exact ? 1e-5 : 0.1);
      if (!exact) continue;
      for (const ParameterLayout::Entry& weight : cpu.state_->layout().entries())
        EXPECT_LE(distance(gradient.data() + weight.offset, step.gradient() + weight.offset, weight.size()), 1e-5)
            << weight.name;
    }
  }
}

TEST_F(CudaJob, FollowsTheCpuWithEveryLoss) {
  for (const LossInfo& loss : all_losses()) {
    SCOPED_TRACE(loss.name);
    const std::string type = ", loss: " + std::string(loss.name) + "}";
    if (loss.binary)
      use({.tasks = "{click: {weight: 0.5" + type + ", buy: {trained_as: click * buy" + type + "}"});
    else
      use({.labels = "{n: {type: regression}, click: {}}",
           .tasks = "{n: {weight: 0.01" + type + ", click: {}}",
           .outputs = "{p_click: click}"});
    expect_like_cpu(1e-5, 1e-3, 4);
  }
}

TEST_F(CudaJob, ClipsTheNorm) {
  model_->config.train.clip_norm = 0.05;
  expect_like_cpu(1e-5, 1e-3);
}

TEST_F(CudaJob, Bf16FollowsTheCpuLoosely) {
  model_->config.train.precision = Precision::bf16;
  expect_like_cpu(2e-2, kAdamOfSigns);
}

TEST_F(CudaJob, ScoresWhatTheCpuScores) {
  Run cpu(*this, DeviceKind::cpu), cuda(*this, DeviceKind::cuda);
  cpu.train(4);
  cuda.train(4);
  auto source = model_->data->eval(Part::train, kRows);
  Batch batch;
  ASSERT_TRUE(source->next(batch));
  std::vector<std::vector<float>> expected, actual;
  cpu.device_->forward().refresh(pool_);
  cpu.device_->forward().run(pool_, batch, expected);
  cuda.device_->forward().run(pool_, batch, actual);
  ASSERT_EQ(expected.size(), actual.size());
  for (size_t o = 0; o < expected.size(); ++o) {
    ASSERT_EQ(actual[o].size(), static_cast<size_t>(kRows));
    EXPECT_LE(distance(actual[o].data(), expected[o].data(), kRows), 1e-5) << "output " << o;
  }
}

TEST_F(CudaJob, ScoresMoreThanItsWorkingMemoryHolds) {
  constexpr int64_t kOutputs = 260, kEvalBatch = 40000;  // 42 MB
  std::string outputs;
  for (int64_t o = 0; o < kOutputs; ++o) outputs += ", o" + std::to_string(o) + ": " + (o % 2 ? "buy" : "click");
  use({.outputs = "{" + outputs.substr(2) + "}"});
  model_->config.eval.batch_size = kEvalBatch;
  Run run(*this, DeviceKind::cuda);
  auto source = model_->data->eval(Part::train, kRows);
  Batch batch;
  ASSERT_TRUE(source->next(batch));
  std::vector<std::vector<float>> scores;
  run.device_->forward().run(pool_, batch, scores);
  ASSERT_GE(scores.size(), static_cast<size_t>(kOutputs));
  const size_t first = scores.size() - kOutputs;
  EXPECT_NE(scores[first], scores[first + 1]);
  for (size_t o = first + 2; o < scores.size(); ++o) EXPECT_EQ(scores[o], scores[o - 2]);
}

TEST_F(CudaJob, StateGoesToTheHostAndBack) {
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    model_->config.train.precision = precision;
    Run whole(*this, DeviceKind::cuda), cut(*this, DeviceKind::cuda);
    whole.train(8);
    cut.train(4);
    cut.device_->download();
    cut.device_->initialize(7);
    cut.device_->upload();
    cut.train(4);
    EXPECT_EQ(cut.hash(), whole.hash());
  }
}

TEST_F(CudaJob, AStepThatIsNotFiniteChangesNothingNorDoesTheNext) {
  Run run(*this, DeviceKind::cuda);
  run.train(3);
  const uint64_t before = run.hash();
  run.next();
  run.batch_.dense[0][5] = std::numeric_limits<float>::infinity();
  run.device_->submit(run.batch_, 4, 1);
  run.next();
  run.device_->submit(run.batch_, 5, 1);
  try {
    run.device_->collect();
    ADD_FAILURE() << "the step was taken";
  } catch (const NonFiniteError& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("step 4: "), HasSubstr("first seen in"), HasSubstr("Nothing was changed")));
  }
  EXPECT_EQ(run.hash(), before);
}

TEST_F(CudaJob, RepeatsTheBatchesThatAreThere) {
  use({.model = "{deep: {type: mlp, from: features, hidden: [24], dropout: 0.3}}"});
  model_->config.train.logical_shards = 2;
  Run run(*this, DeviceKind::cpu);
  Batch batches[Accelerator::kDepth];
  for (Batch& batch : batches) {
    run.next();
    batch = run.batch_;
  }
  const Plan plan = make_plan(run.graphs_.training, kBatch);
  HostBatches views(run.config_, plan, model_->data->schema());
  /// Losses of three steps on each of the batches in turn.
  const auto losses = [&](bool repeat) {
    const auto device = open_accelerator(run.job());
    device->initialize();
    std::vector<double> out;
    for (int64_t step = 1; step <= 3 * Accelerator::kDepth; ++step) {
      if (repeat && step > Accelerator::kDepth)
        device->repeat(step, 0.5);
      else
        device->submit(views.of(batches[(step - 1) % Accelerator::kDepth]), step, step > Accelerator::kDepth ? 0.5 : 1);
      if (step % Accelerator::kDepth) continue;
      for (int i = 0; i < Accelerator::kDepth; ++i) {
        const AcceleratorStep done = device->collect();
        EXPECT_TRUE(done.finite);
        EXPECT_GE(done.idle_seconds, 0);
        out.insert(out.end(), done.loss.begin(), done.loss.end());
      }
    }
    return out;
  };
  EXPECT_EQ(losses(true), losses(false));
}

TEST_F(CudaJob, TellsHowLongTheDeviceWaitedForABatch) {
  Run run(*this, DeviceKind::cuda);
  const auto step = [&](int pause_ms) {
    run.next();
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    run.device_->submit(run.batch_, ++run.step_, 1);
    return run.device_->collect().device_idle;
  };
  EXPECT_EQ(step(0), 0) << "nothing ran before the first step";
  step(0);
  EXPECT_GE(step(40), 0.04);
}

}  // namespace
}  // namespace mtrank
