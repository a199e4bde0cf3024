#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "framework/core/tensor.h"

namespace mtrank {

/// Which samples and features name a row of a table in one batch: the lookups sorted by row, those of a row in the
/// order of samples, then features, then positions. Keeps its memory from batch to batch.
class RowIndex {
 public:
  /// `features` hold the ids of rows [0, batch); ids lie in [-1, table_rows), -1 is skipped.
  void build(std::span<const IdsView> features, int64_t batch, int64_t table_rows);

  int64_t lookups() const { return static_cast<int64_t>(source_.size()); }
  /// The touched rows, ascending.
  std::span<const int32_t> rows() const { return rows_; }
  /// Row rows()[i] owns lookups [begin()[i], begin()[i + 1]).
  std::span<const int64_t> begin() const { return begin_; }
  /// By lookup: its sample and feature.
  std::span<const uint32_t> source() const { return source_; }
  int64_t sample(uint32_t source) const { return source >> feature_bits_; }
  int feature_bits() const { return feature_bits_; }
  /// By lookup; empty when every weight is 1.
  std::span<const float> weight() const { return weight_; }

 private:
  void expand(std::span<const IdsView> features, int64_t batch);
  void sort(int64_t table_rows);
  void find_rows();

  int feature_bits_ = 0;
  bool weighted_ = false;
  std::vector<uint64_t> keys_, spare_;  // row << 32 | source, or | number of the lookup where they have weights
  std::vector<uint32_t> unsorted_source_;
  std::vector<float> unsorted_weight_;
  std::vector<uint32_t> count_;
  std::vector<int32_t> rows_;
  std::vector<int64_t> begin_;
  std::vector<uint32_t> source_;
  std::vector<float> weight_;
};

}  // namespace mtrank
