#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/access.cuh"
#include "framework/core/bf16.h"
#include "framework/core/math.h"

/// Pieces of rows that a thread holds in registers, and lanes that share a row.
namespace mtrank::cuda {

/// N consecutive elements, moved as one where they lie on a multiple of their size.
template <class T, int N>
struct alignas(sizeof(T) * N) Columns {
  T at[N];

  __device__ __forceinline__ T get(int i) const { return at[i]; }
  __device__ __forceinline__ void set(int i, T x) { at[i] = x; }
};
/// Two to a register. May alias: what lies there are bf16s.
template <int N>
requires(N % 2 == 0) struct __attribute__((may_alias, aligned(2 * N))) Columns<bf16, N> {
  uint32_t pair[N / 2];

  __device__ __forceinline__ bf16 get(int i) const {
    return {static_cast<uint16_t>(i % 2 == 0 ? pair[i / 2] & 0xffffu : pair[i / 2] >> 16)};
  }
  __device__ __forceinline__ void set(int i, bf16 x) {
    pair[i / 2] = i % 2 == 0 ? x.bits : pair[i / 2] | uint32_t{x.bits} << 16;
  }
};

template <int N, class T>
__device__ __forceinline__ Columns<T, N> load_columns(const T* from) {
  return *reinterpret_cast<const Columns<T, N>*>(from);
}
template <int N, class T>
__device__ __forceinline__ void store_columns(T* to, const Columns<float, N>& x, bool aligned = true) {
  Columns<T, N> out;
  MTRANK_UNROLL
  for (int i = 0; i < N; ++i) out.set(i, from_float<T>(x.at[i]));
  if constexpr (N == 1) {
    to[0] = out.get(0);
  } else if (aligned) {
    store_whole(to, out);
  } else {
    MTRANK_UNROLL
    for (int i = 0; i < N; ++i) to[i] = out.get(i);
  }
}
template <class T, int N>
__device__ __forceinline__ Columns<float, N> to_floats(const Columns<T, N>& x) {
  Columns<float, N> out;
  MTRANK_UNROLL
  for (int i = 0; i < N; ++i) out.at[i] = to_float(x.get(i));
  return out;
}

/// Whether rows can be moved n columns at a time.
inline bool rows_aligned(const DeviceView& v, int64_t n) {
  return v.cols % n == 0 && v.ld % n == 0 &&
         reinterpret_cast<uintptr_t>(v.data) % (static_cast<size_t>(n) * dtype_size(v.dtype)) == 0;
}

/// log2 of the lanes that share a row of `dim` columns, each taking `n` of them at a time: a power of two up to 32.
inline int lane_bits_of(int64_t dim, int n) {
  int bits = 0;
  while (bits < 5 && (int64_t{n} << bits) < dim) ++bits;
  return bits;
}

/// The lanes of the calling thread's row. A warp has 32 >> bits such groups; all lanes of a warp run the same loops.
struct LaneGroup {
  int bits;
  __device__ __forceinline__ int size() const { return 1 << bits; }
  __device__ __forceinline__ int lane() const { return static_cast<int>(threadIdx.x) & (size() - 1); }
  /// Number of the group in the grid, and how many there are.
  __device__ __forceinline__ int64_t number() const {
    return (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) >> bits;
  }
  __device__ __forceinline__ int64_t count() const { return (static_cast<int64_t>(gridDim.x) * blockDim.x) >> bits; }
  /// The sum over the lanes of the group, by a tree: the same bits in every lane. All lanes of the warp must call.
  __device__ __forceinline__ float sum(float x) const {
    for (int apart = size() / 2; apart > 0; apart /= 2) x += __shfl_xor_sync(0xffffffffu, x, apart);
    return x;
  }
};

}  // namespace mtrank::cuda
