#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

/// launch/gpu_check: with the emulated GPU and tiny shapes, and without any.
namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::ProcessResult;
using Json = nlohmann::json;

ProcessResult gpu_check(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"python3", MTRANK_SOURCE_DIR "/launch/gpu_check"});
  return testing::run_process({arguments, {"MTRANK_DATA="}, ""});
}

TEST(GpuCheck, SaysThatThereIsNoGpuAndCountsTheTestsThatAreSkipped) {
  const TempDir dir;
  std::filesystem::create_symlink(MTRANK_BINARY, dir / "mtrank");
  const ProcessResult r = gpu_check({"--build", dir.path()});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("no GPU that can be used here (this build has no CUDA)"));
  EXPECT_THAT(r.out, ::testing::ContainsRegex("[0-9]+ GPU tests skipped"));
}

TEST(GpuCheck, EndsWithATableAndWritesEveryFigureWithItsCommand) {
  const TempDir dir;
  std::filesystem::create_symlink(MTRANK_CUDA_BINARY, dir / "mtrank");
  const ProcessResult r =
      gpu_check({"--dry-run", "--quick", "--accuracy", "--build", dir.path(), "--out", dir / "gpu.json"});
  // The tests of the GPU are not beside that program, so their part fails, and no target of speed is met.
  EXPECT_EQ(r.code, 1) << r.out << r.err;
  EXPECT_THAT(r.out, HasSubstr("not measured; wrote "));
  const Json json = Json::parse(testing::read_text(dir / "gpu.json"));
  EXPECT_THAT(json["machine"]["gpu"].get<std::string>(), HasSubstr("compute capability"));
  std::map<std::string, std::string> status;
  for (const Json& figure : json["figures"]) {
    status[figure["name"]] = figure["status"];
    if (figure["status"] == "pass") {
      EXPECT_NE(figure["command"], "") << figure;
    }
  }
  EXPECT_EQ(status["GPU tests"], "FAIL");
  EXPECT_EQ(status["20 steps end with the same hash: two runs"], "pass") << r.out;
  EXPECT_EQ(status["20 steps end with the same hash: --no-graph"], "pass") << r.out;
  EXPECT_EQ(status["20 steps end with the same hash: resumed at 10"], "pass") << r.out;
  EXPECT_EQ(status["first 50 losses beside the CPU's, fp32"], "pass") << r.out;
  EXPECT_NE(status["click: mean test AUC, fp32"], "") << r.out;
  EXPECT_NE(status["cart: mean test AUC, bf16"], "") << r.out;
  EXPECT_EQ(status["funnel, batch 4,096: batches on the GPU"], "FAIL") << r.out;
}

}  // namespace
}  // namespace mtrank
