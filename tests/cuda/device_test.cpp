#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cuda/memory.h"
#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/train/trainer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#ifdef MTRANK_EMULATED
#include "tests/emulator/emulator.h"

/// A machine whose GPU cannot be used.
namespace mtrank {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::ThrowsMessage;

class CudaDevice : public TempDirTest {
 protected:
  void write_log() { disk::Output(path("train.csv")).write(tiny_log(70, 1)); }
  /// What `mtrank train` is refused with.
  std::string refusal(const std::string& device) {
    disk::Output(path("c.yaml")).write(tiny_config("train: \"" + path("train.csv") + "\"", "eval: {metrics: [auc]}"));
    try {
      TrainOptions options;
      options.config = path("c.yaml");
      options.out = path("run");
      options.overrides = {"train.device=" + device};
      train(options);
      return "";
    } catch (const ResourceError& error) {
      return error.what();
    }
  }
};

TEST_F(CudaDevice, OneThatCannotBeUsedIsRefusedInOneLineBeforeTheDataIsRead) {
  std::vector<std::pair<emulator::Settings, std::string>> machines(3, {emulator::settings(), ""});
  machines[0].first.devices = 0;
  machines[0].second = "no GPU is visible (see nvidia-smi, and CUDA_VISIBLE_DEVICES)";
  machines[1].first.driver_version = 12080;
  machines[1].second = "the NVIDIA driver is for CUDA 12.8, and this build needs one for 13.0";
  machines[2].first.compute_capability = 75;
  machines[2].second = "Emulated GPU has compute capability 7.5, and 8.0 is the oldest that is supported";
  for (const auto& [machine, why] : machines) {
    const emulator::WithSettings with(machine);
    EXPECT_EQ(refusal("cuda"),
              "train.device is cuda, but " + why +
                  ". Use --device cpu; `mtrank plan --device cuda` shows what a GPU would need for this");
  }
}

TEST_F(CudaDevice, ACallThatFailsIsNamedWithItsTextFileAndLine) {
  emulator::Settings gone = emulator::settings();
  gone.devices = 0;
  const emulator::WithSettings with(gone);
  cuda::DeviceMemory memory;
  memory.reserve("weights", 100);
  const auto failed = [](const std::string& call) {
    return ThrowsMessage<Error>(
        ContainsRegex("CUDA: .*\\(cudaErrorNoDevice\\), " + call + ".* at .*cuda/memory.cu:[0-9]+"));
  };
  EXPECT_THAT([&] { memory.allocate(); }, failed("cudaMalloc"));
  EXPECT_THAT([] { cuda::PinnedMemory(100); }, failed("cudaMallocHost"));
  EXPECT_THAT([] { cuda::Stream(); }, failed("cudaStreamCreateWithFlags"));
}

TEST_F(CudaDevice, AutoSaysWhyItTakesTheCpu) {
  write_log();
  emulator::Settings old = emulator::settings();
  old.driver_version = 12080;
  const emulator::WithSettings with(old);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(refusal("auto"), "");
  EXPECT_THAT(::testing::internal::GetCapturedStdout(),
              HasSubstr("train.device auto takes the CPU: the NVIDIA driver is for CUDA 12.8"));
}

TEST_F(CudaDevice, AJobThatDoesNotFitIsRefusedBeforeItTakesAnything) {
  write_log();
  emulator::Settings small = emulator::settings();
  const size_t before = emulator::allocated_bytes();
  small.memory = before + (size_t{520} << 20);
  const emulator::WithSettings with(small);
  const uint64_t operations = emulator::operations_run();
  EXPECT_THAT(refusal("cuda"), StartsWith("this job needs about 0.6"));
  EXPECT_EQ(emulator::allocated_bytes(), before);
  EXPECT_EQ(emulator::operations_run(), operations);
}

}  // namespace
}  // namespace mtrank
#endif
