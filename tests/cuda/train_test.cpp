#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <sstream>
#include <thread>

#include "framework/embedding/accelerator.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

/// `mtrank train --device cuda` as its users run it. Where there is no GPU, the program is the emulated one.
namespace mtrank {
namespace {

using testing::Child;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using testing::Process;
using testing::ProcessResult;
using testing::read_text;
using Json = nlohmann::json;

class CudaTrain : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new TempDir;
    const ProcessResult made =
        testing::run_mtrank({"synth", "funnel", "--rows", "1500", "--seed", "5", "--plain", "--out", *dir_ / "log"});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  static void TearDownTestSuite() { delete dir_; }
  void SetUp() override {
    std::string why;
    if (!accelerator_present(&why)) GTEST_SKIP() << why;
  }

  static std::string program() { return testing::from_environment("MTRANK_CUDA_BINARY", MTRANK_CUDA_BINARY); }
  static Process command(const std::string& run, std::vector<std::string> more, const std::string& binary = program()) {
    std::vector<std::string> argv = {binary, "train", testing::source_dir() + "/tests/reproducibility/small.yaml",
                                     "--out", *dir_ / run};
    argv.insert(argv.end(), more.begin(), more.end());
    return {argv, {"FUNNEL=" + (*dir_ / "log")}, ""};
  }
  static ProcessResult train(const std::string& run, std::vector<std::string> more = {"--device", "cuda"}) {
    ProcessResult r = testing::run_process(command(run, std::move(more)));
    EXPECT_EQ(r.code, 0) << run << ": " << r.out << r.err;
    return r;
  }
  static std::string bundle(const std::string& run) { return read_text(*dir_ / run + "/model.safetensors"); }
  /// The last line of metrics.jsonl that is a test evaluation.
  static Json test_metrics(const std::string& run) {
    std::istringstream lines(read_text(*dir_ / run + "/metrics.jsonl"));
    Json found;
    for (std::string line; std::getline(lines, line);)
      if (const Json json = Json::parse(line); json["event"] == "eval" && json["split"] == "test") found = json;
    return found;
  }

  static TempDir* dir_;
};

TempDir* CudaTrain::dir_ = nullptr;

TEST_F(CudaTrain, EveryWayToTheEndGivesTheSameFile) {
  train("reference");
  const std::string reference = bundle("reference");
  ASSERT_FALSE(reference.empty());

  train("again");
  EXPECT_TRUE(bundle("again") == reference) << "a second run differs";
  train("eager", {"--device", "cuda", "--no-graph"});
  EXPECT_TRUE(bundle("eager") == reference) << "without a captured graph it differs";
  train("threads", {"--device", "cuda", "--threads", "5"});
  EXPECT_TRUE(bundle("threads") == reference) << "another number of host threads differs";

  int code = 0;
  for (int kills = 0; kills < 3; ++kills) {
    Child child(command("killed", {"--device", "cuda", "--resume"}), *dir_ / "killed.log");
    std::this_thread::sleep_for(std::chrono::milliseconds(400 + 300 * kills));
    if (child.running()) child.signal(SIGKILL);
    code = child.wait();
  }
  train("killed", {"--device", "cuda", "--resume"});
  EXPECT_TRUE(bundle("killed") == reference) << "killed and resumed (last exit " << code << ") it differs";
}

TEST_F(CudaTrain, ARunKeepsItsShardsWhereverItGoesOn) {
  const auto checkpoint = [](const std::string& run, int step) {
    return *dir_ / run + "/checkpoints/step-0000000000" + (step < 10 ? "0" : "") + std::to_string(step);
  };
  const auto go_on = [&](const std::string& run, const std::string& device, std::vector<std::string> more) {
    more.insert(more.end(), {"--set", "train.max_steps=10", "--set", "train.checkpoint.every=5 steps", "--device",
                             device, "--resume"});
    train(run, more);
    return read_text(checkpoint(run, 10) + "/tensors.safetensors");
  };
  /// Five steps on the CPU and five on the GPU.
  const auto moved = [&](const std::string& run, const std::vector<std::string>& more) {
    go_on(run, "cpu", more);
    std::filesystem::remove(*dir_ / run + "/model.safetensors");
    std::filesystem::remove_all(checkpoint(run, 10));
    return go_on(run, "cuda", more);
  };
  const std::vector<std::string> eight = {"--set", "train.logical_shards=8"};
  const std::string reference = moved("eight everywhere", eight);
  EXPECT_TRUE(moved("moved to the gpu", {}) == reference) << "what it was begun with is not what it goes on with";
  EXPECT_EQ(Json::parse(read_text(checkpoint("moved to the gpu", 10) + "/state.json"))["logical_shards"], 8);
  EXPECT_FALSE(go_on("eight on the gpu", "cuda", eight) == go_on("begun on the gpu", "cuda", {}));
}

TEST_F(CudaTrain, MeasuresWhatTheCpuMeasures) {
  train("cpu", {"--device", "cpu"});
  train("fp32");
  train("bf16", {"--device", "cuda", "--set", "train.precision=bf16"});
  const Json cpu = test_metrics("cpu"), fp32 = test_metrics("fp32"), bf16 = test_metrics("bf16");
  for (const auto& [task, metrics] : cpu["tasks"].items()) {
    for (const auto& [metric, value] : metrics.items()) {
      EXPECT_NEAR(fp32["tasks"][task][metric].get<double>(), value.get<double>(), 1e-3) << task << " " << metric;
      EXPECT_NEAR(bf16["tasks"][task][metric].get<double>(), value.get<double>(), 3e-2) << task << " " << metric;
    }
  }
}

TEST_F(CudaTrain, AutoTakesTheGpuAndSaysSo) {
  train("auto", {"--device", "auto"});
  const Json environment = Json::parse(read_text(*dir_ / "auto/env.json"));
  EXPECT_EQ(environment["device"], "cuda");
  EXPECT_TRUE(environment["accelerator"].contains("driver")) << environment.dump();
  EXPECT_FALSE(environment["algorithms"].empty()) << environment.dump();
}

TEST_F(CudaTrain, AResumeOnAnotherDeviceWarns) {
  {
    Child child(command("moved", {"--device", "cuda", "--set", "train.max_steps=10"}), *dir_ / "moved.log");
    ASSERT_EQ(child.wait(), 0) << read_text(*dir_ / "moved.log");
  }
  std::filesystem::remove(*dir_ / "moved/model.safetensors");
  const ProcessResult r =
      testing::run_process(command("moved", {"--device", "cpu", "--resume", "--set", "train.max_steps=10"}));
  EXPECT_THAT(r.out + r.err,
              ContainsRegex("was trained on .* \\(driver .*, cuda .*, cublaslt [0-9]+\\) and goes on on cpu: "
                            ".* not bit for bit"));
}

}  // namespace
}  // namespace mtrank
