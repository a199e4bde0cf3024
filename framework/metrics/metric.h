#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mtrank {

/// What a metric is computed from, one element a row. All given spans have the same length.
struct MetricInput {
  std::span<const float> prediction;  ///< a probability (binary) or a value (regression)
  std::span<const float> label;       ///< 0 or 1 (binary; above one half is positive) or a value (regression)
  std::span<const float> weight;      ///< empty: every row weighs 1. A weight of 0: the row is not counted.
  std::span<const uint64_t> key;      ///< group of a row, for the metrics that take a column; else empty
};

/// A metric, or why it is undefined (one class only, no rows, ...): then it is written as null.
struct MetricValue {
  std::optional<double> value;
  std::string reason;

  static MetricValue of(double v) { return {v, {}}; }
  static MetricValue undefined(std::string why) { return {std::nullopt, std::move(why)}; }
};

/// What a metric may take in parentheses: `auc`, `gauc(user_id)`, `ece(20)`.
enum class MetricArgument { none, column, count };
/// The tasks a metric has a meaning for.
enum class MetricTask { binary, regression };
/// What is better: for early stopping and the best checkpoint.
enum class MetricDirection { higher, lower, toward_one };

struct MetricSpec;
struct SortedRows;

/// One row of metrics.def.
struct MetricInfo {
  std::string_view name;
  MetricArgument argument;
  MetricTask task;
  MetricDirection direction;
  MetricValue (*compute)(const SortedRows&, const MetricSpec&);
  std::string_view doc;
};

/// A metric as a config asks for it.
struct MetricSpec {
  const MetricInfo* info = nullptr;
  std::string column;  ///< of `gauc(column)`
  int count = 0;       ///< of `ece(count)`
  std::string text;    ///< as written, without blanks; the name in metrics.jsonl
};

/// Every metric, in the order of metrics.def.
std::span<const MetricInfo> metric_registry();
/// Reads `name`, `name(column)` or `name(count)`. Throws ConfigError that says what was expected.
MetricSpec parse_metric(std::string_view text);

/// One metric on one set of rows. Sorts the rows: for several metrics use `evaluate` (evaluate.h).
MetricValue compute_metric(const MetricSpec& spec, const MetricInput& input);

/// Which number picks the best checkpoint: `mean.auc` (over the tasks that have the metric) or `is_click.logloss`.
struct BestMetric {
  std::string task;  ///< "mean" or a task's name
  MetricSpec metric;
};
/// Throws ConfigError that says what was expected.
BestMetric parse_best_metric(std::string_view text);
/// Is `a` strictly better than `b`?
bool is_better(MetricDirection direction, double a, double b);
/// Mean of the defined values; undefined when there is none.
MetricValue mean_over_tasks(std::span<const MetricValue> values);

}  // namespace mtrank
