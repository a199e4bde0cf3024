#include "cuda/embedding/row_sums.h"

#include <algorithm>

#include "cuda/launch.h"

namespace mtrank::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 2048;
constexpr uint32_t kRun = 8;  // blocks of sums that a group takes at once: it looks for the row of the first alone

/// Number of the last row of the list whose first block is not after `item`.
__device__ uint32_t row_of_item(const HotRow* rows, uint32_t count, uint32_t item) {
  uint32_t begin = 0, end = count;
  while (end - begin > 1) {
    const uint32_t middle = begin + (end - begin) / 2;
    (rows[middle].item <= item ? begin : end) = middle;
  }
  return begin;
}

/// Level 0 sums lookups; level l sums what level l - 1 left, in place: the sum of a block lies where its first part
/// was.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    sum_blocks_kernel(ClassIndex index, int level, int lane_bits, const uint32_t* proceed) {
  __shared__ GradientRows shared[kSharedFeatures];
  if (*proceed == 0) return;
  const LookupRows<T> lookups = lookup_rows<T>(index, shared);
  const LaneGroup group{lane_bits};
  const HotRow* rows = index.hot[level];
  const HotCount total = index.hot_count[level];
  const auto row_count = static_cast<uint32_t>(total >> 32), items = static_cast<uint32_t>(total);
  int64_t stride = 1;
  for (int l = 0; l < level; ++l) stride *= kSumBlock;
  for (int64_t run = group.number() * kRun; run < items; run += group.count() * kRun) {
    const auto first = static_cast<uint32_t>(run);
    const uint32_t end = min(items, first + kRun);
    uint32_t r = row_of_item(rows, row_count, first);
    for (uint32_t item = first; item < end; ++item) {
      if (r + 1 < row_count && rows[r + 1].item <= item) ++r;
      const HotRow row = rows[r];
      const uint32_t begin = index.begins[row.segment], block = item - row.item;
      uint32_t parts = index.begins[row.segment + 1] - begin;
      if (level > 0) parts = blocks_of(parts, level - 1);
      const uint32_t count = min(kSumBlock, parts - block * kSumBlock);
      float* out = index.partial + (row.slot + stride * block) * index.dim;
      const PartialRows below{out, stride / kSumBlock * index.dim};
      for (int64_t c = group.lane() * N; c < index.dim; c += group.size() * N) {
        const Columns<float, N> sum =
            level > 0 ? sum_rows<N>(below, 0, count, c) : sum_rows<N>(lookups, begin + block * kSumBlock, count, c);
        store_columns<N>(out + c, sum);
      }
    }
  }
}

template <class T, int N>
void sum_levels(cudaStream_t stream, const RowClass& c, const ClassIndex& index, const uint32_t* proceed) {
  const int bits = lane_bits_of(c.dim, N);
  int64_t items = 2 * c.capacity / (kSumBlock + 1);
  for (int level = 0; level < c.levels; ++level, items = ceil_div(items, kSumBlock)) {
    const int64_t blocks = ceil_div(ceil_div(items, kRun) << bits, kThreads);
    launch(sum_blocks_kernel<T, N>, dim3(static_cast<unsigned>(std::clamp<int64_t>(blocks, 1, kMostBlocks))),
           dim3(kThreads), stream, index, level, bits, proceed);
  }
}

}  // namespace

void sum_hot_rows(cudaStream_t stream, const RowClass& c, const ClassIndex& index, DType dtype,
                  const uint32_t* proceed) {
  with_type(dtype, [&]<class T>(T) {
    index.wide ? sum_levels<T, 4>(stream, c, index, proceed) : sum_levels<T, 1>(stream, c, index, proceed);
  });
}

}  // namespace mtrank::cuda
