#pragma once

#include <map>
#include <string>
#include <vector>

#include "framework/metrics/metric.h"

namespace mtrank {

/// A column of the evaluated rows, by value: a hash or an id, equal where the column's text is equal.
struct KeyColumn {
  std::string name;
  std::span<const uint64_t> value;  // [rows]
};

struct EvaluationInput {
  std::string task;  ///< for the warnings
  std::span<const float> prediction;
  std::span<const float> label;
  std::span<const float> weight;      ///< empty: 1 everywhere. 0: masked.
  std::vector<KeyColumn> columns;     ///< those that metrics and segments name
  std::vector<std::string> segments;  ///< columns to evaluate by value as well
};

struct Evaluation {
  uint64_t rows = 0;                ///< counted
  double weight = 0;                ///< their sum
  std::vector<MetricValue> values;  ///< one a metric, in the order asked for
};

struct EvaluationResult {
  Evaluation all;
  /// By column, then by value (ascending); a value without a counted row is left out.
  std::map<std::string, std::map<uint64_t, Evaluation>> segments;
  std::vector<std::string> warnings;  ///< constant prediction, AUC of exactly 1
};

/// All metrics on all rows and on each segment, from one sort. Single-threaded, a pure function of its input.
EvaluationResult evaluate(const std::vector<MetricSpec>& metrics, const EvaluationInput& input);

}  // namespace mtrank
