#include "framework/train/metrics_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "framework/core/error.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;

class MetricsLogTest : public TempDirTest {
 protected:
  void put(const std::string& text) { std::ofstream(path("m"), std::ios::binary) << text; }
  std::string cut_after(const std::string& text, int64_t step) {
    put(text);
    truncate_metrics_after(path("m"), step);
    return contents("m");
  }
};

TEST_F(MetricsLogTest, EvaluationLine) {
  EvalRecord record{"test", 12, {}, {}};
  const MetricValue third = MetricValue::of(1.0 / 3), none = MetricValue::undefined("no positive row");
  record.tasks = {{"is_click", {{"auc", third}, {"gauc(user_id)", MetricValue::of(1)}}}, {"buy", {{"auc", none}}}};
  record.segments = {{"tab", "1", {{"is_click", {{"auc", third}}}}}, {"tab", "2", {{"is_click", {{"auc", none}}}}}};
  const nlohmann::ordered_json third_json = 1.0 / 3;
  const std::string number = third_json.dump();
  EXPECT_EQ(number, "0.3333333333333333");
  std::string expected =
      "{'event':'eval','split':'test','step':12,"
      "'tasks':{'is_click':{'auc':#,'gauc(user_id)':1.0},'buy':{'auc':null}},"
      "'segments':{'tab':{'1':{'is_click':{'auc':#}},'2':{'is_click':{'auc':null}}}},"
      "'undefined':{'buy.auc':'no positive row','tab=2.is_click.auc':'no positive row'}}";
  for (char& c : expected) c = c == '\'' ? '"' : c;
  for (size_t at; (at = expected.find('#')) != std::string::npos;) expected.replace(at, 1, number);
  EXPECT_EQ(format_json(record), expected);
}

TEST_F(MetricsLogTest, DoublesReadBackTheSame) {
  for (double v : {0.1, 1.0 / 3, 0.7123456789012345, 5e-324, 1.7976931348623157e308}) {
    const EvalRecord record{"valid", 1, {{"t", {{"auc", MetricValue::of(v)}}}}, {}};
    EXPECT_EQ(nlohmann::json::parse(format_json(record))["tasks"]["t"]["auc"].get<double>(), v);
  }
}

TEST_F(MetricsLogTest, LinesAreThereAtOnceAndAppendAfterReopening) {
  MetricsLog first(path("m"));
  first.line("{}");
  EXPECT_EQ(contents("m"), "{}\n");
  TrainProgress p;
  p.step = 3;
  MetricsLog(path("m")).write(p);
  first.sync();
  EXPECT_THAT(contents("m"), HasSubstr("{}\n{\"event\":\"train\",\"step\":3,"));
}

TEST_F(MetricsLogTest, CutsBackToAStep) {
  const std::string one = "{\"step\":1}\n", two = "{\"step\":2,\"a\":[\"}\"]}\n", start = "{\"event\":\"start\"}\n";
  EXPECT_EQ(cut_after(start + one + two, 2), start + one + two);
  EXPECT_EQ(cut_after(start + one + two, 1), start + one);
  EXPECT_EQ(cut_after(start + one + two, 0), start);
  EXPECT_EQ(cut_after(one + one + two + two, 1), one + one);
  EXPECT_EQ(cut_after("", 1), "");
}

TEST_F(MetricsLogTest, TheTestEvaluationOfARunThatWasNotFinishedGoes) {
  const std::string one = "{\"step\":1}\n", test = "{\"event\":\"eval\",\"split\":\"test\",\"step\":1}\n",
                    valid = "{\"event\":\"eval\",\"split\":\"valid\",\"step\":1}\n";
  EXPECT_EQ(cut_after(one + valid + test, 1), one + valid);
}

TEST_F(MetricsLogTest, TornLastLineIsDropped) {
  const std::string one = "{\"step\":1}\n", two = "{\"step\":2}\n";
  EXPECT_EQ(cut_after(one + "{\"step\":2", 5), one);
  EXPECT_EQ(cut_after(one + "{\"step\":2}", 5), one) << "without its newline a line may be incomplete";
  EXPECT_EQ(cut_after(one + "{\"ste\n", 5), one);
  EXPECT_EQ(cut_after(one + std::string(100, '\0'), 5), one);
  EXPECT_EQ(cut_after(one + "note to self\n" + two, 5), one + "note to self\n" + two);
  EXPECT_EQ(cut_after(std::string(1, '{'), 5), "");
}

TEST_F(MetricsLogTest, MissingFileIsFineAndAnUnwritableOneIsNot) {
  truncate_metrics_after(path("absent"), 3);
  EXPECT_FALSE(disk::is_file(path("absent")));
  try {
    MetricsLog log(path("no/such/dir"));
    ADD_FAILURE();
  } catch (const ResourceError& e) {
    EXPECT_THAT(e.what(), HasSubstr("cannot write " + path("no/such/dir") + ": No such file"));
  }
}

}  // namespace
}  // namespace mtrank
