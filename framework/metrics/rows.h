#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "framework/metrics/metric.h"

namespace mtrank {

/// The counted rows (weight above 0) in ascending order of prediction, equal predictions in the order of the input:
/// what every metric reads. A subset taken in order is again sorted, so groups and segments need no second sort.
struct SortedRows {
  std::span<const float> prediction;
  std::span<const float> label;
  std::span<const float> weight;  ///< always given
  std::span<const uint64_t> key;  ///< empty unless asked for

  size_t size() const { return prediction.size(); }
  SortedRows subset(size_t begin, size_t end) const;
};

/// Owns sorted rows.
struct RowStorage {
  std::vector<float> prediction, label, weight;
  std::vector<uint64_t> key;
  SortedRows view() const { return {prediction, label, weight, key}; }
};

/// Row numbers of the counted rows, ascending by prediction; NaN last. Equal predictions keep the order of the input.
/// Radix sort, O(rows). At most 2^32 - 1 rows.
std::vector<uint32_t> sort_rows(const MetricInput& input);
/// The rows of `input` named by `order`, in that order.
RowStorage gather_rows(const MetricInput& input, std::span<const uint32_t> order);

/// Rows by equal key: group g, of key `keys[g]` (ascending), is `rows[begin[g]] ... rows[begin[g + 1] - 1]`, in order.
struct Groups {
  std::vector<uint64_t> keys;
  std::vector<uint32_t> begin;
  std::vector<uint32_t> rows;
  size_t size() const { return keys.size(); }
};
Groups group_rows(std::span<const uint64_t> key);

/// Sums over rows, in order.
struct ClassWeights {
  double positive = 0;
  double negative = 0;
  double total() const { return positive + negative; }
  bool one_class() const { return positive == 0 || negative == 0; }
};
ClassWeights class_weights(const SortedRows& rows);

}  // namespace mtrank
