#pragma once

#include <cstdint>

#include "cuda/columns.h"
#include "cuda/embedding/row_index.h"

/// Sums of rows, in the order that SparseUpdate promises.
namespace mtrank::cuda {

constexpr int kRowsInFlight = 4;
constexpr uint32_t kSharedFeatures = 128;  // whose gradients are found through shared memory

/// The gradients of lookups in the order of the index, T: float or bf16.
template <class T>
struct LookupRows {
  const uint32_t* value;
  const uint32_t* source;  ///< null: `value` is the source
  const float* weight;     ///< null: all are 1
  const GradientRows* gradients;
  int feature_bits;

  using Element = T;
  /// What says where row i lies: to be read for several rows before any of them.
  __device__ __forceinline__ uint32_t place(uint32_t i) const { return value[i]; }
  __device__ __forceinline__ const T* row(uint32_t v, float* w) const {
    if (source) {
      *w = weight[v];
      v = source[v];
    }
    const GradientRows& g = gradients[v & ((1u << feature_bits) - 1u)];
    return static_cast<const T*>(g.data) + static_cast<int64_t>(v >> feature_bits) * g.ld;
  }
};

/// Partial sums: number i lies `stride` rows after number i - 1.
struct PartialRows {
  const float* first = nullptr;
  int64_t stride = 0;  ///< floats
  static constexpr const float* weight = nullptr;

  using Element = float;
  __device__ __forceinline__ uint32_t place(uint32_t i) const { return i; }
  __device__ __forceinline__ const float* row(uint32_t i, float*) const { return first + i * stride; }
};

/// Columns [column, column + N) of rows [begin, begin + count), added in order; count is 1 or more.
template <int N, class Rows>
__device__ __forceinline__ Columns<float, N> sum_rows(const Rows& rows, uint32_t begin, uint32_t count,
                                                      int64_t column) {
  Columns<float, N> sum{};
  for (uint32_t i = 0; i < count; i += kRowsInFlight) {
    Columns<typename Rows::Element, N> part[kRowsInFlight];
    float weight[kRowsInFlight];
    uint32_t place[kRowsInFlight];
    MTRANK_UNROLL
    for (uint32_t k = 0; k < kRowsInFlight; ++k) place[k] = rows.place(begin + min(i + k, count - 1));
    MTRANK_UNROLL
    for (uint32_t k = 0; k < kRowsInFlight; ++k) {
      weight[k] = 1.0f;
      if (i + k < count) part[k] = load_columns<N>(rows.row(place[k], &weight[k]) + column);
    }
    MTRANK_UNROLL
    for (uint32_t k = 0; k < kRowsInFlight; ++k) {
      if (i + k >= count) continue;
      const Columns<float, N> x = to_floats(part[k]);
      MTRANK_UNROLL
      for (int l = 0; l < N; ++l) {
        const bool first = k == 0 && i == 0;
        if (rows.weight)
          sum.at[l] = first ? weight[k] * x.at[l] : math::fma(weight[k], x.at[l], sum.at[l]);
        else
          sum.at[l] = first ? x.at[l] : sum.at[l] + x.at[l];
      }
    }
  }
  return sum;
}

/// What kernels of a class read of an index.
struct ClassIndex {
  const uint32_t *keys, *values, *begins, *table_segment;
  const uint32_t* source;
  const float* weight;
  const GradientRows* gradients;
  const IndexTable* tables;
  const HotRow* hot[kMaxLevels] = {};
  const HotCount* hot_count;  ///< by level
  const uint32_t* first_sums;
  float* partial;
  uint32_t features;
  uint32_t first_table, end_table;
  int64_t dim;
  int feature_bits, shard_bits;
  bool wide;  ///< rows can be moved four columns at a time

  /// Number of a segment's row.
  __device__ __forceinline__ uint32_t row_of(uint32_t segment) const { return keys[begins[segment]] >> shard_bits; }
};

/// Brings the places of the features' gradients into `shared`, where they fit; all threads of the block must call.
template <class T>
__device__ __forceinline__ LookupRows<T> lookup_rows(const ClassIndex& index, GradientRows* shared) {
  const bool fits = index.features <= kSharedFeatures;
  for (uint32_t f = threadIdx.x; fits && f < index.features; f += blockDim.x) shared[f] = index.gradients[f];
  __syncthreads();
  return {.value = index.values,
          .source = index.source,
          .weight = index.weight,
          .gradients = fits ? shared : index.gradients,
          .feature_bits = index.feature_bits};
}

/// Blocks of level `level` (from 0 on) that `lookups` of a segment have: ceil(lookups / 64^(level + 1)).
__device__ __forceinline__ uint32_t blocks_of(uint32_t lookups, int level) {
  for (int l = 0; l <= level; ++l) lookups = (lookups + kSumBlock - 1) / kSumBlock;
  return lookups;
}

/// The sums that the last level left of a segment with more than kSumBlock lookups, and how many. `slot`: of the first.
__device__ __forceinline__ PartialRows last_sums(const ClassIndex& index, uint32_t slot, uint32_t lookups,
                                                 uint32_t* count) {
  int64_t stride = index.dim;
  *count = blocks_of(lookups, 0);
  for (; *count > kSumBlock; *count = blocks_of(*count, 0)) stride *= kSumBlock;
  return {index.partial + static_cast<int64_t>(slot) * index.dim, stride};
}

/// Sums the blocks of all levels of a class's segments with more than kSumBlock lookups. Gated on *proceed.
/// DLRM-DCNv2 at batch 65,536 (14.0 M Zipf lookups, some half of them of such rows): reads 256 bytes of bf16 a lookup,
/// mostly from the second-level cache (1.8 GB: 0.3 ms), and writes and reads 512 bytes a block (0.1 GB: 0.04 ms).
void sum_hot_rows(cudaStream_t stream, const RowClass& c, const ClassIndex& index, DType dtype,
                  const uint32_t* proceed);

}  // namespace mtrank::cuda
