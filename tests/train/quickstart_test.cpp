#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using Json = nlohmann::json;
using testing::run_mtrank;

/// The last evaluation of the test rows in metrics.jsonl.
Json test_record(const std::string& path) {
  std::ifstream in(path);
  Json found;
  for (std::string line; std::getline(in, line);) {
    const Json record = Json::parse(line);
    if (record.value("split", "") == "test") found = record;
  }
  return found;
}

// What launch/quickstart does: no model can be better than the truth that the log was drawn from.
TEST(Quickstart, TrainsToWithinAHundredthOfTheBestReachableAuc) {
  TempDir dir;
  const std::string log = dir / "log", run = dir / "run";
  const auto made = run_mtrank({"synth", "funnel", "--rows", "400000", "--seed", "1", "--out", log});
  ASSERT_EQ(made.code, 0) << made.err;
  const auto trained =
      run_mtrank({"train", MTRANK_SOURCE_DIR "/configs/quickstart.yaml", "--out", run}, {"FUNNEL=" + log});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Json best = Json::parse(testing::read_text(log + "/truth.json"))["splits"]["test"]["best_auc"];
  const Json record = test_record(run + "/metrics.jsonl");
  ASSERT_EQ(best.size(), 3u);
  for (const auto& [task, reachable] : best.items()) {
    const double auc = record.at("tasks").at(task).at("auc").get<double>();
    EXPECT_GT(auc, reachable.get<double>() - 0.01) << task;
    EXPECT_LT(auc, reachable.get<double>() + 0.003) << task << ": better than the truth";
  }
}

}  // namespace
}  // namespace mtrank
