#include "framework/metrics/metric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "framework/core/error.h"

namespace mtrank {
namespace {

using testing::HasSubstr;

struct Rows {
  std::vector<float> prediction, label, weight;
  std::vector<uint64_t> key;
  MetricInput input() const { return {prediction, label, weight, key}; }
};

MetricValue compute(const char* metric, const Rows& rows) { return compute_metric(parse_metric(metric), rows.input()); }

TEST(Metric, AgreesWithScikitLearn) {
  const auto golden = nlohmann::json::parse(std::ifstream(MTRANK_SOURCE_DIR "/tests/golden/metrics.json"));
  for (const auto& c : golden["cases"]) {
    const Rows rows{c["prediction"], c["label"], c["weight"], c["key"]};
    for (const auto& [metric, expected] : c["expected"].items()) {
      const MetricValue got = compute(metric.c_str(), rows);
      ASSERT_TRUE(got.value) << c["name"] << " " << metric << ": " << got.reason;
      EXPECT_NEAR(*got.value, expected.get<double>(), 1e-12 * (1 + std::abs(expected.get<double>())))
          << c["name"] << " " << metric;
    }
  }
}

TEST(Metric, EveryRegisteredMetricHasGoldens) {
  const auto golden = nlohmann::json::parse(std::ifstream(MTRANK_SOURCE_DIR "/tests/golden/metrics.json"));
  for (const MetricInfo& m : metric_registry()) {
    bool found = false;
    for (const auto& c : golden["cases"])
      for (const auto& [metric, expected] : c["expected"].items()) found |= parse_metric(metric).info == &m;
    EXPECT_TRUE(found) << m.name;
    EXPECT_GT(m.doc.size(), 20u) << m.name;
  }
}

TEST(Metric, EmptyWeightsAreOnes) {
  Rows rows{{0.1f, 0.4f, 0.35f, 0.8f}, {0, 0, 1, 1}, {}, {}};
  EXPECT_EQ(compute("auc", rows).value, 0.75);
  rows.weight = {1, 1, 1, 1};
  EXPECT_EQ(compute("auc", rows).value, 0.75);
}

TEST(Metric, BothZerosTie) {
  const Rows rows{{0.0f, -0.0f, 0.0f, -0.0f}, {0, 0, 1, 1}, {}, {}};
  EXPECT_EQ(compute("auc", rows).value, 0.5);
}

TEST(Metric, NegativePredictionsSortBelowPositiveOnes) {
  const Rows rows{{-3, -1, 2, -2}, {0, 1, 1, 0}, {}, {}};
  EXPECT_EQ(compute("auc", rows).value, 1.0);
}

TEST(Metric, UndefinedHasAReason) {
  const Rows none{{0.5f}, {1}, {0}, {7}}, positive{{0.5f, 0.6f}, {1, 1}, {}, {7, 7}}, negative{{0.5f}, {0}, {}, {7}};
  EXPECT_EQ(compute("logloss", none).reason, "no rows");
  EXPECT_EQ(compute("auc", positive).reason, "no negative row");
  EXPECT_EQ(compute("ne", positive).reason, "no negative row");
  for (const char* metric : {"auc", "pr_auc", "calibration", "ne"})
    EXPECT_EQ(compute(metric, negative).reason, "no positive row") << metric;
  EXPECT_EQ(compute("gauc(user)", negative).reason, "no user has both a positive and a negative row");
  EXPECT_EQ(compute("pr_auc", positive).value, 1.0);
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (float bad : {nan, -nan, infinity, -infinity}) {
    const Rows rows{{0.5f, bad, 0.1f}, {0, 1, 1}, {}, {}};
    EXPECT_EQ(compute("auc", rows).reason, "a prediction is not finite");
  }
  const Rows masked{{0.5f, nan, 0.1f}, {0, 1, 1}, {1, 0, 1}, {}};
  EXPECT_EQ(compute("auc", masked).value, 0.0) << "a masked row may hold anything";
}

TEST(Metric, GroupsOfOneClassDoNotCount) {
  const Rows rows{{0.1f, 0.9f, 0.5f, 0.4f, 0.3f, 0.2f}, {1, 0, 1, 1, 0, 0}, {}, {7, 7, 8, 8, 9, 9}};
  EXPECT_EQ(compute("gauc(user)", rows).value, 0.0);
  EXPECT_EQ(compute("gauc_mean(user)", rows).value, 0.0);
}

TEST(Metric, LoglossClips) {
  const Rows rows{{0.0f, 1.0f}, {1, 0}, {}, {}};
  EXPECT_NEAR(*compute("logloss", rows).value, -std::log(1e-7), 1e-8);
}

TEST(Metric, EceKeepsTiesTogetherSoRowOrderDoesNotMatter) {
  const Rows a{{0.5f, 0.5f, 0.5f, 0.5f}, {0, 0, 1, 1}, {}, {}}, b{{0.5f, 0.5f, 0.5f, 0.5f}, {0, 1, 0, 1}, {}, {}};
  EXPECT_EQ(compute("ece(2)", a).value, 0.0);
  EXPECT_EQ(compute("ece(2)", b).value, 0.0);
  const Rows split{{0.1f, 0.2f, 0.8f, 0.9f}, {0, 0, 1, 1}, {}, {}};
  EXPECT_NEAR(*compute("ece(2)", split).value, 0.15, 1e-7);
  EXPECT_NEAR(*compute("ece(1)", split).value, 0.0, 1e-7);
  // The ties begin in the first bin, but the middle of their weight lies in the second.
  const Rows across{{0.1f, 0.5f, 0.5f, 0.5f}, {0, 1, 1, 0}, {}, {}};
  EXPECT_NEAR(*compute("ece(2)", across).value, (0.1 + 0.5) / 4, 1e-7);
}

TEST(Metric, ParsesItsConfigForm) {
  EXPECT_EQ(parse_metric(" gauc( user_id ) ").column, "user_id");
  EXPECT_EQ(parse_metric(" gauc( user_id ) ").text, "gauc(user_id)");
  EXPECT_EQ(parse_metric("ece").count, 15);
  EXPECT_EQ(parse_metric("ece(20)").count, 20);
  EXPECT_EQ(parse_best_metric("mean.auc").task, "mean");
  EXPECT_EQ(parse_best_metric("is_click.gauc(user_id)").metric.column, "user_id");
}

TEST(Metric, RefusesWhatItDoesNotUnderstand) {
  const std::pair<const char*, const char*> cases[] = {
      {"acu", "unknown metric 'acu'; the metrics are auc, gauc,"},
      {"", "unknown metric ''"},
      {"auc(user)", "metric 'auc(user)': auc takes nothing in parentheses"},
      {"gauc", "metric 'gauc': expected a column to group by, e.g. gauc(user_id)"},
      {"gauc()", "expected a column to group by"},
      {"gauc(user", "expected one closing parenthesis"},
      {"gauc(a)b)", "expected one closing parenthesis"},
      {"ece(0)", "expected a whole number from 1 to 100000 in parentheses, found '0'"},
      {"ece(1e3)", "found '1e3'"},
      {"ece()", "found ''"},
  };
  for (const auto& [text, message] : cases) {
    try {
      parse_metric(text);
      ADD_FAILURE() << text;
    } catch (const ConfigError& e) {
      EXPECT_THAT(e.what(), HasSubstr(message));
    }
  }
  EXPECT_THROW(parse_best_metric("auc"), ConfigError);
  EXPECT_THROW(parse_best_metric("mean."), ConfigError);
}

TEST(Metric, Directions) {
  EXPECT_TRUE(is_better(MetricDirection::higher, 0.8, 0.7));
  EXPECT_FALSE(is_better(MetricDirection::higher, 0.7, 0.7));
  EXPECT_TRUE(is_better(MetricDirection::lower, 0.1, 0.2));
  EXPECT_TRUE(is_better(MetricDirection::toward_one, 0.9, 1.2));
}

TEST(Metric, MeanOverTasksLeavesOutTheUndefined) {
  const std::vector<MetricValue> some{MetricValue::of(0.5), MetricValue::undefined("x"), MetricValue::of(0.7)};
  EXPECT_DOUBLE_EQ(*mean_over_tasks(some).value, 0.6);
  EXPECT_EQ(mean_over_tasks(std::vector<MetricValue>{MetricValue::undefined("x")}).reason, "undefined for every task");
}

}  // namespace
}  // namespace mtrank
