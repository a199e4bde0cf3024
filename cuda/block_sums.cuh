#pragma once

#include <algorithm>

#include "cuda/launch.h"

/// Sums over the rows of a value: blocks of rows are summed by one kernel, and their sums by a second, in their order.
/// The blocks depend on the shape alone, so the bits are the same whichever kernel makes the first half.
namespace mtrank::cuda {

constexpr int kSumWarps = 8;  // of a block of threads: warp w adds rows w, w + 8, ... of a block of rows

/// Rows of a block, of which there are so few that their `sums` numbers each fit the scratch memory.
inline int64_t rows_of_a_block(int64_t rows, int64_t sums) {
  constexpr int64_t kMost = 256, kFewest = 64;  // blocks; rows of one
  const int64_t fit = static_cast<int64_t>(Context::kScratch / sizeof(float)) / sums;
  MTRANK_ASSERT(fit >= 1);
  return std::max(kFewest, round_up(ceil_div(rows, std::min(kMost, fit)), kSumWarps));
}

/// Adds the warps' sums in their order. Lane l has those of columns [l N, (l + 1) N), of which `count` are there.
template <int N>
__device__ void store_block_sums(const float (&sum)[N], int64_t count, float* to) {
  __shared__ float shared[kSumWarps][N][32 + 32 / N];  // 32 columns after one another lie in 32 banks
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  for (int n = 0; n < N; ++n) shared[warp][n][lane] = sum[n];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < 32 * N && i < count; i += 32 * kSumWarps) {
    float total = 0;
    for (int w = 0; w < kSumWarps; ++w) total += shared[w][i % N][i / N];
    to[i] = total;
  }
}

}  // namespace mtrank::cuda
