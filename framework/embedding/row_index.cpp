#include "framework/embedding/row_index.h"

#include <algorithm>
#include <bit>

#include "framework/core/error.h"

namespace mtrank {

void RowIndex::build(std::span<const IdsView> features, int64_t batch, int64_t table_rows) {
  feature_bits_ = features.size() > 1 ? std::bit_width(features.size() - 1) : 0;
  MTRANK_ASSERT(batch << feature_bits_ <= int64_t{UINT32_MAX} && table_rows <= INT32_MAX);
  weighted_ = std::any_of(features.begin(), features.end(), [](const IdsView& f) { return f.weights != nullptr; });
  expand(features, batch);
  sort(table_rows);
  find_rows();
}

void RowIndex::expand(std::span<const IdsView> features, int64_t batch) {
  keys_.clear();
  unsorted_source_.clear();
  unsorted_weight_.clear();
  int64_t most = 0;
  for (const IdsView& f : features) most += f.offsets ? f.offsets[batch] - f.offsets[0] : batch;
  MTRANK_ASSERT(most <= int64_t{UINT32_MAX});
  keys_.reserve(static_cast<size_t>(most));
  for (int64_t b = 0; b < batch; ++b) {
    for (size_t f = 0; f < features.size(); ++f) {
      const IdsView& ids = features[f];
      const auto source = static_cast<uint32_t>(static_cast<size_t>(b) << feature_bits_ | f);
      const int64_t begin = ids.offsets ? ids.offsets[b] : b, end = ids.offsets ? ids.offsets[b + 1] : b + 1;
      for (int64_t i = begin; i < end; ++i) {
        if (ids.ids[i] < 0) continue;
        const auto low = weighted_ ? static_cast<uint32_t>(keys_.size()) : source;
        keys_.push_back(static_cast<uint64_t>(ids.ids[i]) << 32 | low);
        if (!weighted_) continue;
        unsorted_source_.push_back(source);
        unsorted_weight_.push_back(ids.weights ? ids.weights[i] : 1.0f);
      }
    }
  }
}

/// Least significant digit first, which is stable. Only the bits that rows have.
void RowIndex::sort(int64_t table_rows) {
  const int bits = std::bit_width(static_cast<uint64_t>(table_rows - 1));
  const int passes = (bits + 10) / 11;
  const int digit = passes ? (bits + passes - 1) / passes : 0;
  const size_t n = keys_.size();
  spare_.resize(n);
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = 32 + pass * digit;
    const uint64_t mask = (uint64_t{1} << digit) - 1;
    count_.assign(size_t{1} << digit, 0);
    for (size_t i = 0; i < n; ++i) ++count_[keys_[i] >> shift & mask];
    uint32_t sum = 0;
    for (uint32_t& c : count_) {
      const uint32_t here = c;
      c = sum;
      sum += here;
    }
    for (size_t i = 0; i < n; ++i) spare_[count_[keys_[i] >> shift & mask]++] = keys_[i];
    keys_.swap(spare_);
  }
}

void RowIndex::find_rows() {
  const size_t n = keys_.size();
  source_.resize(n);
  weight_.resize(weighted_ ? n : 0);
  rows_.clear();
  begin_.clear();
  for (size_t i = 0; i < n; ++i) {
    const auto row = static_cast<int32_t>(keys_[i] >> 32);
    const auto low = static_cast<uint32_t>(keys_[i]);
    if (i == 0 || row != rows_.back()) {
      rows_.push_back(row);
      begin_.push_back(static_cast<int64_t>(i));
    }
    source_[i] = weighted_ ? unsorted_source_[low] : low;
    if (weighted_) weight_[i] = unsorted_weight_[low];
  }
  begin_.push_back(static_cast<int64_t>(n));
}

}  // namespace mtrank
