#include "framework/metrics/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/core/philox.h"
#include "framework/metrics/rows.h"

namespace mtrank {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Log {
  std::vector<float> prediction, label, weight;
  std::vector<uint64_t> user, tab;
};

Log make_log(int rows) {
  const Philox random(3, "test", "evaluate");
  Log log;
  for (int i = 0; i < rows; ++i) {
    const PhiloxBlock a = random(0, i), b = random(1, i);
    log.prediction.push_back(static_cast<float>(a[0] % 50) / 50);
    log.label.push_back(uniform01(a[1]) < log.prediction.back());
    log.weight.push_back(a[2] % 5 == 0 ? 0.0f : uniform01(a[3]));
    log.user.push_back(uint64_t{b[0] % 37} << 60 | b[0] % 37);
    log.tab.push_back(b[1] % 4 + 10);
  }
  return log;
}

std::vector<MetricSpec> every_binary_metric() {
  std::vector<MetricSpec> specs;
  for (const MetricInfo& m : metric_registry())
    if (m.task == MetricTask::binary)
      specs.push_back(parse_metric(std::string(m.name) + (m.argument == MetricArgument::column ? "(user)" : "")));
  return specs;
}

TEST(Evaluate, AgreesWithOneMetricAtATimeOnEverySegment) {
  const Log log = make_log(3000);
  const std::vector<MetricSpec> specs = every_binary_metric();
  const EvaluationResult result = evaluate(
      specs, {"click", log.prediction, log.label, log.weight, {{"user", log.user}, {"tab", log.tab}}, {"tab"}});
  ASSERT_EQ(result.segments.at("tab").size(), 4u);
  for (size_t m = 0; m < specs.size(); ++m)
    EXPECT_EQ(result.all.values[m].value,
              compute_metric(specs[m], {log.prediction, log.label, log.weight, log.user}).value)
        << specs[m].text;
  uint64_t rows = 0;
  for (const auto& [tab, segment] : result.segments.at("tab")) {
    std::vector<float> weight = log.weight;
    for (size_t i = 0; i < weight.size(); ++i)
      if (log.tab[i] != tab) weight[i] = 0;
    for (size_t m = 0; m < specs.size(); ++m)
      EXPECT_EQ(segment.values[m].value, compute_metric(specs[m], {log.prediction, log.label, weight, log.user}).value)
          << specs[m].text << " tab " << tab;
    rows += segment.rows;
  }
  EXPECT_EQ(rows, result.all.rows);
  EXPECT_TRUE(result.warnings.empty());
}

TEST(Evaluate, Warns) {
  const std::vector<float> same{0.5f, 0.5f, 0.5f}, right{0.1f, 0.2f, 0.9f}, label{0, 0, 1};
  const std::vector<MetricSpec> metrics{parse_metric("auc")};
  EXPECT_THAT(evaluate(metrics, {"click", same, label, {}, {}, {}}).warnings,
              ElementsAre(HasSubstr("task click: every prediction is the same (0.5")));
  EXPECT_THAT(evaluate(metrics, {"buy", right, label, {}, {}, {}}).warnings,
              ElementsAre(HasSubstr("task buy: auc is exactly 1;")));
}

TEST(Evaluate, NoRowsAtAll) {
  const EvaluationResult result = evaluate({parse_metric("auc")}, {"click", {}, {}, {}, {{"tab", {}}}, {"tab"}});
  EXPECT_EQ(result.all.rows, 0u);
  EXPECT_EQ(result.all.values[0].reason, "no rows");
  EXPECT_TRUE(result.segments.at("tab").empty());
}

TEST(Rows, SortIsStableAndLeavesOutTheMasked) {
  const std::vector<float> prediction{3, -1, 3, 0, -1, 9}, label(6), weight{1, 1, 2, 1, 1, 0};
  EXPECT_THAT(sort_rows({prediction, label, weight, {}}), ElementsAre(1, 4, 3, 0, 2));
}

TEST(Rows, GroupsByKeyAscendingInOrder) {
  std::vector<uint64_t> key;  // more than the table that numbers them begins with
  for (uint64_t i = 0; i < 200000; ++i) key.push_back((i * 7919 % 150001) << 40);
  const Groups groups = group_rows(key);
  ASSERT_EQ(groups.size(), 150001u);
  for (size_t g = 0; g < groups.size(); ++g) {
    ASSERT_EQ(groups.keys[g], uint64_t{g} << 40);
    for (uint32_t r = groups.begin[g]; r < groups.begin[g + 1]; ++r) {
      ASSERT_EQ(key[groups.rows[r]], groups.keys[g]);
      ASSERT_TRUE(r == groups.begin[g] || groups.rows[r - 1] < groups.rows[r]);
    }
  }
}

}  // namespace
}  // namespace mtrank
