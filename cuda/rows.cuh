#pragma once

#include "cuda/access.cuh"
#include "cuda/launch.h"

/// Sums over the columns of a row by W threads of a block, in an order that W alone decides: every thread adds the
/// columns that are its own, then the threads' sums are folded by halves.
namespace mtrank::cuda {

constexpr int kBlock = 256;

/// The sum of `x` over W neighbouring threads, the same for each of them. Every thread of the block must call it.
/// W: a power of two up to 32, or the whole block.
template <int W, class T>
__device__ T sum_over(T x) {
  MTRANK_UNROLL
  for (int half = (W < 32 ? W : 32) / 2; half > 0; half /= 2) x += __shfl_xor_sync(0xffffffffu, x, half);
  if constexpr (W > 32) {
    static_assert(W == kBlock);
    __shared__ T sums[kBlock / 32];
    __syncthreads();  // the last sum has been read
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
    __syncthreads();
    x = 0;
    MTRANK_UNROLL
    for (int w = 0; w < kBlock / 32; ++w) x += sums[w];
  }
  return x;
}

/// How a row's columns are spread: over W threads, K vectors each. Columns stay in registers; for K = 0, rows that are
/// too long for that, they are read again for every pass.
template <int W_, int K_>
struct Spread {
  static constexpr int W = W_, K = K_;
};

/// Calls f with a Spread for rows of `columns`, read V at a time. A thread holds at most 32 columns.
template <int V, class F>
void with_spread(int64_t columns, const F& f) {
  const int64_t vectors = ceil_div(columns, V);
  if (vectors <= 8) return f(Spread<8, 1>{});
  if (vectors <= 32) return f(Spread<32, 1>{});
  if (vectors <= 64) return f(Spread<32, 2>{});
  if (vectors <= 32 * (32 / V)) return f(Spread<32, 32 / V>{});
  f(Spread<kBlock, 0>{});
}

/// Calls f with the threads that share `vectors` vectors, 8 to 32 of them.
template <class F>
void with_lanes(int64_t vectors, const F& f) {
  if (vectors <= 8) return f(std::integral_constant<int, 8>{});
  if (vectors <= 16) return f(std::integral_constant<int, 16>{});
  f(std::integral_constant<int, 32>{});
}

/// The vectors of a row that belong to a thread, held or not, as Spread says.
template <class Access, class S>
class OwnColumns {
 public:
  static constexpr int V = Access::V;

  /// Columns [begin, begin + width) of row `row`.
  __device__ void open(const Argument& a, uint32_t row, uint32_t begin, uint32_t width) {
    a_ = a, row_ = row, begin_ = begin, width_ = width;
    if constexpr (S::K > 0) {
      MTRANK_UNROLL
      for (int k = 0; k < S::K; ++k)
        if (at(k) < width) held_[k] = Access::load(a, row, begin + at(k), width - at(k));
    }
  }
  /// Column of vector k of this thread, counted from `begin`.
  __device__ static uint32_t at(int k) { return (threadIdx.x % S::W + static_cast<uint32_t>(k) * S::W) * V; }
  __device__ typename Access::Vector operator()(int k) const {
    if constexpr (S::K > 0)
      return held_[k];
    else
      return Access::load(a_, row_, begin_ + at(k), width_ - at(k));
  }

 private:
  Argument a_;
  uint32_t row_ = 0, begin_ = 0, width_ = 0;
  typename Access::Vector held_[S::K > 0 ? S::K : 1];
};

/// Calls f(k) for every vector k of this thread that begins before `width`.
template <class Access, class S, class F>
__device__ void each_vector(uint32_t width, const F& f) {
  if constexpr (S::K > 0) {
    MTRANK_UNROLL
    for (int k = 0; k < S::K; ++k)
      if (OwnColumns<Access, S>::at(k) < width) f(k);
  } else {
    for (int k = 0; OwnColumns<Access, S>::at(k) < width; ++k) f(k);
  }
}

}  // namespace mtrank::cuda
