#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "framework/metrics/metric.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace mtrank {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing::ProcessResult;
using testing::run_mtrank;
using ::testing::StartsWith;

/// A trained run: what the trainer measured on the test rows is what `eval` and `predict` must give to the last bit.
class EvalTest : public TempDirTest {
 protected:
  void SetUp() override {
    disk::Output(path("train.csv")).write(tiny_log(600, 1));
    disk::Output(path("valid.csv")).write(tiny_log(300, 2));
    disk::Output(path("test.csv")).write(tiny_log(500, 3));
    disk::Output(path("config.yaml"))
        .write(R"(version: 1
data: {train: ")" +
               path("train.csv") + R"(", valid: ")" + path("valid.csv") + R"(", test: ")" + path("test.csv") +
               R"(", cache: none}
labels: {click: {}, buy: {}}
tables: {item: {vocab_from: [items]}}
features:
  user: {type: id}
  items: {type: ids, table: item}
  price: {type: dense, transform: log1p, normalize: zscore}
model: {deep: {type: mlp, from: features, hidden: [8]}}
tasks: {click: {}, buy: {only_when: click == 1}}
outputs: {p_click: click, p_buy: {expr: click * buy, label: buy}}
train: {batch_size: 64, epochs: 1}
eval: {metrics: [auc, logloss, gauc(user), calibration], segments: [day]}
)");
    const ProcessResult r = run_mtrank({"train", path("config.yaml"), "--out", path("run"), "--threads", "2"});
    ASSERT_EQ(r.code, 0) << r.err;
    bundle_ = path("run/model.safetensors");
  }

  json trainers_record() const {
    std::istringstream lines(contents("run/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const json record = json::parse(line);
      if (record["event"] == "eval" && record["split"] == "test") return record;
    }
    return {};
  }
  json evaluated(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"eval", bundle_, "--data", path("test.csv"), "--json", path("eval.json")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult r = run_mtrank(arguments);
    EXPECT_EQ(r.code, 0) << r.err;
    return json::parse(contents("eval.json"));
  }
  std::string bundle_;
};

TEST_F(EvalTest, GivesTheTrainersNumbersWhateverBatchThreadsAndInstructions) {
  const json expected = trainers_record();
  ASSERT_TRUE(expected.contains("tasks"));
  EXPECT_TRUE(expected["tasks"]["click"]["auc"].is_number());
  EXPECT_TRUE(expected["tasks"]["p_buy"]["auc"].is_number());
  for (const auto& more : std::vector<std::vector<std::string>>{
           {"--threads", "1"}, {"--threads", "5"}, {"--batch-size", "1"}, {"--batch-size", "77"}}) {
    const json record = evaluated(more);
    EXPECT_EQ(record["tasks"], expected["tasks"]) << more[0] << " " << more[1];
    EXPECT_EQ(record["segments"], expected["segments"]) << more[0] << " " << more[1];
  }
}

// The third way: scores from the CSV that predict writes, labels from the log, metrics computed here.
TEST_F(EvalTest, PredictionsHaveTheTrainersMetrics) {
  ASSERT_EQ(
      run_mtrank({"predict", bundle_, "--data", path("test.csv"), "--out", path("scores.csv"), "--keep", "click,buy"})
          .code,
      0);
  std::vector<float> p_click, p_buy, click, buy, has_buy;
  std::istringstream lines(contents("scores.csv"));
  std::string line;
  std::getline(lines, line);
  ASSERT_EQ(line, "click,buy,p_click,p_buy");
  while (std::getline(lines, line)) {
    std::vector<std::string> fields;
    std::istringstream row(line);
    for (std::string field; std::getline(row, field, ',');) fields.push_back(field);
    ASSERT_EQ(fields.size(), 4u);
    click.push_back(std::stof(fields[0]));
    has_buy.push_back(fields[1].empty() ? 0 : 1);
    buy.push_back(fields[1].empty() ? 0 : std::stof(fields[1]));
    p_click.push_back(std::stof(fields[2]));
    p_buy.push_back(std::stof(fields[3]));
  }
  const json expected = trainers_record()["tasks"];
  for (const char* metric : {"auc", "logloss"}) {
    const MetricSpec spec = parse_metric(metric);
    EXPECT_EQ(compute_metric(spec, {p_click, click, {}, {}}).value, expected["click"][metric].get<double>());
    EXPECT_EQ(compute_metric(spec, {p_buy, buy, has_buy, {}}).value, expected["p_buy"][metric].get<double>());
  }
}

TEST_F(EvalTest, ARowsWeightIsHowOftenItCounts) {
  /// Its rows with weights 0, 1, 2, 0, …: each once, or as often as it weighs with a weight of 1.
  const auto weighted = [](const std::string& log, bool repeated) {
    std::istringstream lines(log);
    std::string line, out;
    std::getline(lines, line);
    out = line + ",w\n";
    for (int row = 0; std::getline(lines, line); ++row)
      for (int i = 0; i < (repeated ? row % 3 : 1); ++i)
        out += line + "," + std::to_string(repeated ? 1 : row % 3) + "\n";
    return out;
  };
  std::string config = contents("config.yaml");
  config.replace(config.find("cache: none"), 11, "cache: none, weight: w");
  disk::Output(path("weighted.yaml")).write(config);
  for (const char* name : {"train.csv", "valid.csv"}) disk::Output(path(name)).write(weighted(tiny_log(600, 1), false));
  std::map<bool, json> records;
  for (const bool repeated : {false, true}) {
    disk::Output(path("test.csv")).write(weighted(tiny_log(500, 3), repeated));
    const std::string run = repeated ? "repeated" : "weighted";
    const ProcessResult r = run_mtrank({"train", path("weighted.yaml"), "--out", path(run), "--threads", "2"});
    ASSERT_EQ(r.code, 0) << r.err;
    std::istringstream lines(contents(run + "/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);)
      if (const json record = json::parse(line); record["event"] == "eval" && record["split"] == "test")
        records[repeated] = record["tasks"];
  }
  for (const char* task : {"click", "buy", "p_buy"})
    for (const char* metric : {"auc", "logloss", "calibration"}) {
      const double want = records[true][task][metric].get<double>();
      EXPECT_NEAR(records[false][task][metric].get<double>(), want, 1e-9 * want) << task << " " << metric;
    }
}

TEST_F(EvalTest, PrintsATableAndSaysWhatIsMissing) {
  const ProcessResult r = run_mtrank({"eval", bundle_, "--data", path("test.csv")});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("gauc(user)"));
  EXPECT_THAT(r.out, HasSubstr("p_buy"));
  disk::Output(path("unlabelled.csv")).write(tiny_log(10, 3, false));
  const ProcessResult missing = run_mtrank({"eval", bundle_, "--data", path("unlabelled.csv")});
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.err, HasSubstr("click"));
}

TEST_F(EvalTest, ShowsSegmentsAndWhyAMetricIsUndefined) {
  disk::Output(path("none.csv")).write("user,items,price,day,click,buy\nu1,i1,2,3,1,\nu1,i1,2,\"4\n5\",0,\n");
  const ProcessResult r = run_mtrank({"eval", bundle_, "--data", path("none.csv")});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("\n  auc of buy is undefined: "));
  EXPECT_THAT(r.out, HasSubstr("\nby day\n"));
  EXPECT_THAT(r.out, HasSubstr("\n  3  click"));
  EXPECT_THAT(r.out, HasSubstr("\n  4 5  click")) << "a value of two lines";
  EXPECT_THAT(r.out, StartsWith("data\n  task"));
}

TEST_F(EvalTest, AnOutputWithATasksNameIsMeasuredToo) {
  const ProcessResult trained =
      run_mtrank({"train", path("config.yaml"), "--out", path("same"), "--set", "eval.best=click.auc", "--set",
                  "outputs={click: click, buy: {expr: click * buy, label: buy}}"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const ProcessResult first =
      run_mtrank({"train", path("config.yaml"), "--out", path("other"), "--set", "eval.best=click.auc"});
  ASSERT_EQ(first.code, 0) << first.err;
  const auto measured = [&](const std::string& run) {
    EXPECT_EQ(
        run_mtrank({"eval", path(run + "/model.safetensors"), "--data", path("test.csv"), "--json", path("same.json")})
            .code,
        0);
    return json::parse(contents("same.json"))["tasks"];
  };
  const json same = measured("same"), other = measured("other");
  EXPECT_EQ(same.size(), 3u);
  EXPECT_EQ(same["buy"], other["buy"]) << "the task, where it applies";
  EXPECT_EQ(same["outputs.buy"], other["p_buy"]) << "the output, on all rows";
}

TEST_F(EvalTest, InspectShowsTheRun) {
  const ProcessResult r = run_mtrank({"inspect", path("run")});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("checkpoint of step "));
  EXPECT_THAT(r.out, HasSubstr("bundle, format version 1"));
}

}  // namespace
}  // namespace mtrank
