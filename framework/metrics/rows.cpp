#include "framework/metrics/rows.h"

#include <algorithm>
#include <array>
#include <bit>

#include "framework/core/error.h"

namespace mtrank {
namespace {

/// Maps floats to integers of the same order; both zeros to one, NaNs above all.
uint32_t sortable(float x) {
  if (x != x) return 0xffffffffu;
  const uint32_t bits = std::bit_cast<uint32_t>(x == 0 ? 0.0f : x);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/// Stable sort of `packed` by its high 32 bits, 11 bits a pass.
void radix_sort(std::vector<uint64_t>& packed) {
  constexpr int kBits = 11, kBuckets = 1 << kBits;
  std::vector<uint64_t> other(packed.size());
  for (int shift = 32; shift < 64; shift += kBits) {
    std::array<uint32_t, kBuckets + 1> start{};
    for (uint64_t v : packed) ++start[((v >> shift) & (kBuckets - 1)) + 1];
    for (int b = 0; b < kBuckets; ++b) start[b + 1] += start[b];
    for (uint64_t v : packed) other[start[(v >> shift) & (kBuckets - 1)]++] = v;
    packed.swap(other);
  }
}

uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ull;
  return x ^ (x >> 32);
}

/// Numbers the distinct keys in order of first appearance. An open-addressing table: far cheaper than a sort by key.
class KeyNumbers {
 public:
  explicit KeyNumbers(size_t rows) : slots_(std::bit_ceil(std::max<size_t>(16, std::min<size_t>(rows, 1 << 16) * 2))) {}

  uint32_t number(uint64_t key) {
    if (keys_.size() * 2 > slots_.size()) grow();
    uint32_t& slot = find(key);
    if (slot == 0) {
      keys_.push_back(key);
      slot = static_cast<uint32_t>(keys_.size());
    }
    return slot - 1;
  }
  std::vector<uint64_t>& keys() { return keys_; }

 private:
  uint32_t& find(uint64_t key) {
    const size_t mask = slots_.size() - 1;
    size_t i = mix(key) & mask;
    while (slots_[i] != 0 && keys_[slots_[i] - 1] != key) i = (i + 1) & mask;
    return slots_[i];
  }
  void grow() {
    slots_.assign(slots_.size() * 2, 0);
    for (size_t k = 0; k < keys_.size(); ++k) find(keys_[k]) = static_cast<uint32_t>(k + 1);
  }

  std::vector<uint32_t> slots_;  ///< 0: free, else number + 1
  std::vector<uint64_t> keys_;
};

template <class T>
std::span<const T> cut(std::span<const T> all, size_t begin, size_t end) {
  return all.empty() ? all : all.subspan(begin, end - begin);
}

}  // namespace

SortedRows SortedRows::subset(size_t begin, size_t end) const {
  return {cut(prediction, begin, end), cut(label, begin, end), cut(weight, begin, end), cut(key, begin, end)};
}

std::vector<uint32_t> sort_rows(const MetricInput& input) {
  const size_t n = input.prediction.size();
  MTRANK_ASSERT(n < 0xffffffffu);
  MTRANK_ASSERT(input.label.size() == n && (input.weight.empty() || input.weight.size() == n));
  MTRANK_ASSERT(input.key.empty() || input.key.size() == n);
  std::vector<uint64_t> packed;
  packed.reserve(n);
  for (size_t i = 0; i < n; ++i)
    if (input.weight.empty() || input.weight[i] > 0)
      packed.push_back(uint64_t{sortable(input.prediction[i])} << 32 | i);
  radix_sort(packed);
  std::vector<uint32_t> order(packed.size());
  for (size_t i = 0; i < packed.size(); ++i) order[i] = static_cast<uint32_t>(packed[i]);
  return order;
}

RowStorage gather_rows(const MetricInput& input, std::span<const uint32_t> order) {
  RowStorage out;
  const size_t n = order.size();
  out.prediction.resize(n), out.label.resize(n), out.weight.assign(n, 1.0f), out.key.resize(input.key.empty() ? 0 : n);
  for (size_t i = 0; i < n; ++i) {
    const uint32_t r = order[i];
    out.prediction[i] = input.prediction[r];
    out.label[i] = input.label[r];
    if (!input.weight.empty()) out.weight[i] = input.weight[r];
    if (!input.key.empty()) out.key[i] = input.key[r];
  }
  return out;
}

Groups group_rows(std::span<const uint64_t> key) {
  KeyNumbers numbers(key.size());
  std::vector<uint32_t> group(key.size());
  for (size_t i = 0; i < key.size(); ++i) group[i] = numbers.number(key[i]);

  const std::vector<uint64_t>& seen = numbers.keys();
  std::vector<uint32_t> by_key(seen.size()), rank(seen.size());
  for (size_t k = 0; k < seen.size(); ++k) by_key[k] = static_cast<uint32_t>(k);
  std::sort(by_key.begin(), by_key.end(), [&](uint32_t a, uint32_t b) { return seen[a] < seen[b]; });

  Groups out;
  out.begin.assign(seen.size() + 1, 0);
  for (size_t k = 0; k < by_key.size(); ++k)
    rank[by_key[k]] = static_cast<uint32_t>(k), out.keys.push_back(seen[by_key[k]]);
  for (uint32_t& g : group) ++out.begin[(g = rank[g]) + 1];
  for (size_t g = 0; g < seen.size(); ++g) out.begin[g + 1] += out.begin[g];
  std::vector<uint32_t> next(out.begin.begin(), out.begin.end() - 1);
  out.rows.resize(key.size());
  for (size_t i = 0; i < key.size(); ++i) out.rows[next[group[i]]++] = static_cast<uint32_t>(i);
  return out;
}

ClassWeights class_weights(const SortedRows& rows) {
  ClassWeights sum;
  for (size_t i = 0; i < rows.size(); ++i) (rows.label[i] > 0.5f ? sum.positive : sum.negative) += rows.weight[i];
  return sum;
}

}  // namespace mtrank
