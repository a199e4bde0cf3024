#include <gmock/gmock.h>

#include "framework/core/error.h"
#include "tests/cuda/job_testing.h"

/// The memory of a job: what its plan says, what outgrows it, what does not fit.
namespace mtrank {
namespace {

TEST_F(CudaJob, ListsThatOutgrowTheirRoomChangeNothing) {
  model_->config.eval.batch_size = kRows;
  Run roomy(*this, DeviceKind::cuda);
  ids_per_row_ = {{"items", 0.01}};
  Run tight(*this, DeviceKind::cuda);
  EXPECT_EQ(roomy.train(8), tight.train(8));
  EXPECT_EQ(roomy.hash(), tight.hash());

  Batch batch;
  ASSERT_TRUE(model_->data->eval(Part::train, kRows)->next(batch));
  std::vector<std::vector<float>> expected, actual;
  roomy.device_->forward().run(pool_, batch, expected);
  tight.device_->forward().run(pool_, batch, actual);
  EXPECT_EQ(actual, expected);
  EXPECT_EQ(roomy.train(4), tight.train(4));
}

#ifdef MTRANK_EMULATED
/// The larger room replaces what the job holds already, which is most of the device.
TEST_F(CudaJob, ListsThatOutgrowTheirRoomOnAFullDevice) {
  const size_t held = emulator::allocated_bytes();
  int64_t planned = 0;
  {
    Run roomy(*this, DeviceKind::cpu);
    for (const AcceleratorRegion& region : plan_accelerator(roomy.job())) planned += region.bytes;
  }
  ids_per_row_ = {{"items", 0.01}};
  emulator::Settings settings = emulator::settings();
  settings.memory = held + static_cast<size_t>(planned) + (size_t{1} << 20);
  const emulator::WithSettings with(settings);
  Run tight(*this, DeviceKind::cuda);
  EXPECT_NO_THROW(tight.train(8));
}

TEST_F(CudaJob, ListsThatOutgrowTheDeviceAreRefusedWithABatchThatFits) {
  const size_t held = emulator::allocated_bytes();
  ids_per_row_ = {{"items", 0.01}};
  model_->config.eval.batch_size = 1;
  emulator::Settings settings = emulator::settings();
  {
    Run planned(*this, DeviceKind::cpu);
    settings.memory = held;
    for (const AcceleratorRegion& region : plan_accelerator(planned.job()))
      settings.memory += static_cast<size_t>(region.bytes);
  }
  const emulator::WithSettings with(settings);
  Run tight(*this, DeviceKind::cuda);
  try {
    tight.train(8);
    FAIL() << "the longer lists fit";
  } catch (const ResourceError& error) {
    const std::string text = error.what();
    int64_t batch = 0;
    ASSERT_EQ(std::sscanf(text.substr(text.find(" are free. ")).c_str(), " are free. train.batch_size: %ld", &batch), 1)
        << text;
    EXPECT_LT(batch, kBatch);
  }
}
#endif

TEST_F(CudaJob, TakesTheMemoryThatItsPlanSays) {
  use_wide_relus();
  Run run(*this, DeviceKind::cpu);
  AcceleratorJob job = run.job();
  const auto total = [](const std::vector<AcceleratorRegion>& regions) {
    int64_t bytes = 0;
    for (const AcceleratorRegion& region : regions) bytes += region.bytes;
    return bytes;
  };
  const int64_t planned = total(plan_accelerator(job));
  EXPECT_GT(planned, 64 << 20) << "working memory alone is that large";
  EXPECT_EQ(total(open_accelerator(job)->memory()), planned);
#ifdef MTRANK_EMULATED
  emulator::Settings without = emulator::settings();
  without.devices = 0;
  const emulator::WithSettings with(without);
  EXPECT_EQ(total(plan_accelerator(job)), planned) << "a plan needs no device";
#endif
}

#ifdef MTRANK_EMULATED
TEST_F(CudaJob, ARefusalSaysWhichBatchWouldFit) {
  Run run(*this, DeviceKind::cpu);
  AcceleratorJob job = run.job();
  emulator::Settings small = emulator::settings();
  small.memory = size_t{2} << 30;
  const emulator::WithSettings with(small);
  const auto bytes = [&](int64_t batch, int64_t eval_batch) {
    job.batch = batch;
    job.eval_batch = eval_batch;
    size_t sum = 0;
    for (const AcceleratorRegion& region : plan_accelerator(job)) sum += static_cast<size_t>(region.bytes);
    return sum;
  };
  const auto advice = [&](int64_t batch, int64_t eval_batch) -> std::string {
    EXPECT_GT(bytes(batch, eval_batch), small.memory);
    try {
      open_accelerator(job);
      return "none";
    } catch (const ResourceError& error) {
      const std::string text = error.what();
      return text.substr(text.find(" are free. ") + 11);
    }
  };
  constexpr int64_t kHuge = 1 << 24;
  int64_t batch = 0, eval_batch = 0;
  ASSERT_EQ(std::sscanf(advice(kHuge, 100).c_str(), "train.batch_size: %ld would fit.", &batch), 1);
  EXPECT_LE(bytes(batch, 100), small.memory);
  EXPECT_GT(bytes(2 * batch, 100), small.memory);
  ASSERT_EQ(std::sscanf(advice(100, kHuge).c_str(), "eval.batch_size: %ld would fit.", &eval_batch), 1);
  EXPECT_LE(bytes(100, eval_batch), small.memory);
  EXPECT_GT(bytes(100, 2 * eval_batch), small.memory);
  ASSERT_EQ(std::sscanf(advice(kHuge, kHuge).c_str(), "train.batch_size: %ld with eval.batch_size: %ld would fit.",
                        &batch, &eval_batch),
            2);
  EXPECT_LE(bytes(batch, eval_batch), small.memory);
  small.memory = size_t{600} << 20;
  const emulator::WithSettings with_less(small);
  EXPECT_THAT(advice(100, 100), ::testing::StartsWith("Not even a batch of one row fits: use fewer rows"));
}
#endif

TEST_F(CudaJob, ABatchWithMoreNumbersThanKernelsCountIsRefused) {
  use_wide_relus();
  Run run(*this, DeviceKind::cpu);
  AcceleratorJob job = run.job();
  const auto refusal = [&](int64_t batch, int64_t eval_batch) -> std::string {
    job.batch = batch, job.eval_batch = eval_batch;
    try {
      plan_accelerator(job);
      return "";
    } catch (const ResourceError& error) {
      return error.what();
    }
  };
  constexpr int64_t kHuge = 1 << 24;
  for (const bool trains : {true, false}) {
    const auto at = [&](int64_t rows) { return trains ? refusal(rows, 100) : refusal(100, rows); };
    const std::string text = at(kHuge);
    const std::string before = trains ? "train.batch_size may be " : "eval.batch_size may be ";
    int64_t most = 0;
    ASSERT_NE(text.find(before), text.npos) << text;
    ASSERT_EQ(std::sscanf(text.substr(text.find(before) + before.size()).c_str(), "%ld at most", &most), 1);
    EXPECT_EQ(at(most), "");
    EXPECT_NE(at(most + 1), "");
  }
}

/// That of `user` in f32; `items` is a mean, and `day` begins at an odd column.
TEST_F(CudaJob, CopiesNoGradientThatLiesWhereItCanBeRead) {
  Run run(*this, DeviceKind::cpu);
  AcceleratorJob job = run.job();
  const auto copied = [&](bool fuse, DType dtype) {
    job.launch.fuse = fuse;
    job.dtype = dtype;
    for (const AcceleratorRegion& region : plan_accelerator(job))
      if (region.what == "gradients of pooled embeddings") return region.bytes;
    return int64_t{0};
  };
  EXPECT_EQ(2 * copied(false, DType::f32), 3 * copied(true, DType::f32));
  EXPECT_EQ(copied(true, DType::bf16), copied(false, DType::bf16)) << "rows of 8 bytes are not read as fast";
}

}  // namespace
}  // namespace mtrank
