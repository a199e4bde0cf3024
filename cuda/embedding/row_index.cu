#include "cuda/embedding/row_index.h"

#include <algorithm>
#include <cub/device/device_radix_sort.cuh>

#include "cuda/columns.h"
#include "cuda/launch.h"
#include "cuda/put.h"

namespace mtrank::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kTileRounds = kIndexTile / kThreads;
constexpr int kScanThreads = 1024;
constexpr int64_t kMostBlocks = 2048;
constexpr int64_t kExpandBlocks = 512;  // a table

unsigned blocks_for(int64_t threads, int64_t most = kMostBlocks) {
  return static_cast<unsigned>(std::clamp<int64_t>(ceil_div(threads, kThreads), 1, most));
}

/// The first of `n` ascending numbers that is not below x.
__device__ uint32_t lower_bound(const uint32_t* at, uint32_t n, uint32_t x) {
  uint32_t begin = 0;
  while (n > 0) {
    const uint32_t half = n / 2;
    if (at[begin + half] < x) {
      begin += half + 1;
      n -= half + 1;
    } else {
      n = half;
    }
  }
  return begin;
}

struct Expand {
  const IndexTable* tables;
  const DeviceIds* features;
  const DeviceStep* step;
  uint32_t *keys, *values;
  uint32_t* source;
  float* weight;
  uint32_t* heaviest;
  int64_t shard_rows;
  uint32_t no_lookup;
  int shard_bits, feature_bits;
};

__device__ int64_t first_id(const DeviceIds& f, int64_t row) { return f.offsets ? f.offsets[row] : row; }

/// One block of y a table. A group of lanes takes a sample: its lookups go where those of all samples and features
/// before it end. What is left of the table's capacity becomes no lookups.
__global__ void __launch_bounds__(kThreads) expand_kernel(Expand e) {
  const IndexTable t = e.tables[blockIdx.y];
  const LaneGroup group{static_cast<int>(t.lane_bits)};
  const int64_t rows = e.step->rows;
  const auto lane = static_cast<uint32_t>(group.lane());
  const auto lanes = static_cast<uint32_t>(group.size());
  uint32_t heaviest = 0;
  for (int64_t row = group.number(); row < rows; row += group.count()) {
    const auto shard = e.shard_bits > 0 ? static_cast<uint32_t>(row / e.shard_rows) : 0u;
    uint32_t at = t.first_lookup;
    for (uint32_t f = t.first_feature; f < t.end_feature; ++f)
      at += static_cast<uint32_t>(first_id(e.features[f], row) - first_id(e.features[f], 0));
    for (uint32_t f = t.first_feature; f < t.end_feature; ++f) {
      const DeviceIds feature = e.features[f];
      const int64_t begin = first_id(feature, row);
      const auto count = static_cast<uint32_t>(first_id(feature, row + 1) - begin);
      const uint32_t source = static_cast<uint32_t>(row << e.feature_bits) | f;
      for (uint32_t i = lane; i < count; i += lanes) {
        const int32_t id = feature.ids[begin + i];
        e.keys[at + i] = id < 0 ? e.no_lookup : (t.first_row + static_cast<uint32_t>(id)) << e.shard_bits | shard;
        e.values[at + i] = e.source ? at + i : source;
        if (!e.source) continue;
        const float weight = feature.weights ? feature.weights[begin + i] : 1.0f;
        e.source[at + i] = source;
        e.weight[at + i] = weight;
        if (id >= 0) heaviest = max(heaviest, math::detail::bits(math::abs(weight)));
      }
      at += count;
    }
  }
  if (t.weighted != 0) {
    for (int apart = 16; apart > 0; apart /= 2) heaviest = max(heaviest, __shfl_xor_sync(0xffffffffu, heaviest, apart));
    if (threadIdx.x % 32 == 0) atomicMax(&e.heaviest[t.table], heaviest);
  }
  uint32_t end = t.first_lookup;
  for (uint32_t f = t.first_feature; f < t.end_feature; ++f)
    end += static_cast<uint32_t>(first_id(e.features[f], rows) - first_id(e.features[f], 0));
  const uint32_t threads = gridDim.x * blockDim.x;
  for (uint32_t i = end + blockIdx.x * blockDim.x + threadIdx.x; i < t.end_lookup; i += threads) {
    e.keys[i] = e.no_lookup;
    e.values[i] = 0;
  }
}

struct Heads {
  const uint32_t* keys;
  uint32_t n, no_lookup;

  __device__ uint32_t key(uint32_t i) const { return i < n ? keys[i] : no_lookup; }
  /// Whether a segment begins at position i <= n; what is no lookup is the last one.
  __device__ bool operator()(uint32_t i) const { return i <= n && (i == 0 || key(i) != key(i - 1)); }
};

__global__ void __launch_bounds__(kThreads) count_heads_kernel(Heads head, uint32_t* tiles) {
  __shared__ uint32_t warp_sum[kWarps];
  uint32_t count = 0;
  for (int k = 0; k < kTileRounds; ++k) count += head(blockIdx.x * kIndexTile + k * kThreads + threadIdx.x) ? 1 : 0;
  for (int apart = 16; apart > 0; apart /= 2) count += __shfl_xor_sync(0xffffffffu, count, apart);
  if (threadIdx.x % 32 == 0) warp_sum[threadIdx.x / 32] = count;
  __syncthreads();
  if (threadIdx.x != 0) return;
  uint32_t sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += warp_sum[w];
  tiles[blockIdx.x] = sum;
}

/// tiles[i] <- Σ tiles[0 .. i), by one block; the whole sum but for what is no lookup is the number of segments.
__global__ void __launch_bounds__(kScanThreads) scan_tiles_kernel(uint32_t* tiles, uint32_t count, uint32_t* segments) {
  __shared__ uint32_t warp_sum[kScanThreads / 32];
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint32_t before = 0;
  for (uint32_t first = 0; first < count; first += kScanThreads) {
    const uint32_t i = first + threadIdx.x;
    const uint32_t own = i < count ? tiles[i] : 0;
    uint32_t sum = own;
    for (unsigned apart = 1; apart < 32; apart *= 2) {
      const uint32_t other = __shfl_up_sync(0xffffffffu, sum, apart);
      if (lane >= apart) sum += other;
    }
    if (lane == 31) warp_sum[warp] = sum;
    __syncthreads();
    uint32_t warps = 0, all = 0;
    for (uint32_t w = 0; w < kScanThreads / 32; ++w) {
      if (w < warp) warps += warp_sum[w];
      all += warp_sum[w];
    }
    if (i < count) tiles[i] = before + warps + sum - own;
    before += all;
    __syncthreads();
  }
  if (threadIdx.x == 0) *segments = before - 1;
}

__global__ void __launch_bounds__(kThreads) write_heads_kernel(Heads head, const uint32_t* tiles, uint32_t* begins) {
  __shared__ uint32_t warp_count[kTileRounds * kWarps];
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint32_t votes[kTileRounds];
  for (uint32_t k = 0; k < kTileRounds; ++k) {
    votes[k] = __ballot_sync(0xffffffffu, head(blockIdx.x * kIndexTile + k * kThreads + threadIdx.x));
    if (lane == 0) warp_count[k * kWarps + warp] = static_cast<uint32_t>(__popc(votes[k]));
  }
  __syncthreads();
  uint32_t before = tiles[blockIdx.x], next = 0;
  for (uint32_t k = 0; k < kTileRounds; ++k) {
    for (; next < k * kWarps + warp; ++next) before += warp_count[next];
    if ((votes[k] >> lane & 1u) == 0) continue;
    begins[before + static_cast<uint32_t>(__popc(votes[k] & ((1u << lane) - 1u)))] =
        blockIdx.x * kIndexTile + k * kThreads + threadIdx.x;
  }
}

struct Bounds {
  const IndexTable* tables;
  uint32_t table_count, n, rows;
  int shard_bits;
  const uint32_t *keys, *begins, *segments;
  uint32_t *lookups, *heaviest, *table_segment;
};

__global__ void bounds_kernel(Bounds b) {
  const uint32_t t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t > b.table_count) return;
  const uint32_t first_row = t < b.table_count ? b.tables[t].first_row : b.rows;
  const uint32_t first = lower_bound(b.keys, b.n, first_row << b.shard_bits);
  b.table_segment[t] = lower_bound(b.begins, *b.segments, first);
  if (t == b.table_count) return;
  const uint32_t lookups = lower_bound(b.keys, b.n, b.tables[t].end_row << b.shard_bits) - first;
  b.lookups[b.tables[t].table] = lookups;
  if (b.tables[t].weighted == 0 || lookups == 0) b.heaviest[b.tables[t].table] = math::detail::bits(1.0f);
}

/// What find_hot_kernel knows of a class.
struct HotClass {
  uint32_t end_table = 0, first_row = 0, levels = 0;
  uint32_t touched = 0;  // its first word and 1, or 0
  uint32_t hot[kMaxLevels] = {};
};
constexpr int kClassesAtOnce = 64;
struct HotClasses {
  uint32_t first_table = 0, first = 0, count = 0;
  HotClass at[kClassesAtOnce] = {};
};

struct FindHot {
  const uint32_t *keys, *begins, *table_segment;
  HotRow* hot;
  HotCount* hot_count;
  uint32_t *touched, *first_sums;
  int shard_bits;
};

/// Notes the segments with more than kSumBlock lookups and, where every row moves, all rows that have some. In which
/// order they are noted changes nothing: each sum has a place of its own.
__global__ void __launch_bounds__(kThreads) find_hot_kernel(FindHot in, const HotClasses classes) {
  const uint32_t end = in.table_segment[classes.at[classes.count - 1].end_table];
  uint32_t c = 0;
  for (uint32_t s = in.table_segment[classes.first_table] + blockIdx.x * blockDim.x + threadIdx.x; s < end;
       s += gridDim.x * blockDim.x) {
    while (s >= in.table_segment[classes.at[c].end_table]) ++c;
    const HotClass& k = classes.at[c];
    const uint32_t begin = in.begins[s];
    if (k.touched != 0) {
      const uint32_t row = (in.keys[begin] >> in.shard_bits) - k.first_row;
      atomicOr(&in.touched[k.touched - 1 + row / 32], 1u << row % 32);
    }
    uint32_t slot = 0;
    uint32_t rest = in.begins[s + 1] - begin;
    for (uint32_t level = 0; level < k.levels && rest > kSumBlock; ++level) {
      rest = (rest + kSumBlock - 1) / kSumBlock;
      const HotCount before =
          atomicAdd(&in.hot_count[(classes.first + c) * kMaxLevels + level], HotCount{1} << 32 | rest);
      const auto item = static_cast<uint32_t>(before);
      if (level == 0) in.first_sums[s] = slot = item;
      in.hot[k.hot[level] + static_cast<uint32_t>(before >> 32)] = {s, item, slot, 0};
    }
  }
}

void find_hot(cudaStream_t stream, const IndexPlan& plan, const IndexMemory& memory) {
  const FindHot in{.keys = memory.sorted_keys,
                   .begins = memory.begins,
                   .table_segment = memory.table_segment,
                   .hot = memory.hot,
                   .hot_count = memory.hot_count,
                   .touched = memory.touched,
                   .first_sums = memory.first_sums,
                   .shard_bits = plan.shard_bits};
  for (size_t first = 0; first < plan.classes.size(); first += kClassesAtOnce) {
    HotClasses classes{.first_table = plan.classes[first].first_table, .first = static_cast<uint32_t>(first)};
    for (size_t c = first; c < plan.classes.size() && classes.count < kClassesAtOnce; ++c) {
      const RowClass& from = plan.classes[c];
      HotClass& to = classes.at[classes.count++];
      to = {.end_table = from.end_table,
            .first_row = from.first_row,
            .levels = static_cast<uint32_t>(from.levels),
            .touched = from.moves_every_row ? from.touched_word + 1 : 0};
      std::copy_n(from.hot, kMaxLevels, to.hot);
    }
    launch(find_hot_kernel, dim3(blocks_for(plan.capacity)), dim3(kThreads), stream, in, classes);
  }
}

void sort(cudaStream_t stream, const IndexPlan& plan, IndexMemory& memory) {
  cub::DoubleBuffer<uint32_t> keys(memory.keys[0], memory.keys[1]), values(memory.values[0], memory.values[1]);
  size_t bytes = 0;
  const auto n = static_cast<int>(plan.capacity);
  MTRANK_CUDA(cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, values, n, 0, plan.key_bits, stream));
  MTRANK_ASSERT(bytes <= plan.sort_bytes);
  MTRANK_CUDA(cub::DeviceRadixSort::SortPairs(memory.sort, bytes, keys, values, n, 0, plan.key_bits, stream));
  memory.sorted_keys = keys.Current();
  memory.sorted_values = values.Current();
  memory.begins = keys.Alternate();
  memory.first_sums = values.Alternate();
}

}  // namespace

void build_index(cudaStream_t stream, const IndexPlan& plan, IndexMemory& memory, std::span<const DeviceIds> ids,
                 const DeviceStep* step) {
  std::vector<DeviceIds> features;
  for (const int f : plan.feature_order) features.push_back(ids[static_cast<size_t>(f)]);
  put(stream, std::span<const DeviceIds>(features), memory.features);
  MTRANK_CUDA(cudaMemsetAsync(memory.heaviest, 0, memory.cleared_bytes, stream));
  if (plan.capacity == 0) return;

  const auto tables = static_cast<unsigned>(plan.tables.size());
  const Expand expand{.tables = memory.tables,
                      .features = memory.features,
                      .step = step,
                      .keys = memory.keys[0],
                      .values = memory.values[0],
                      .source = plan.weighted ? memory.source : nullptr,
                      .weight = plan.weighted ? memory.weight : nullptr,
                      .heaviest = memory.heaviest,
                      .shard_rows = plan.shard_rows,
                      .no_lookup = plan.no_lookup(),
                      .shard_bits = plan.shard_bits,
                      .feature_bits = plan.feature_bits};
  launch(expand_kernel, dim3(blocks_for(plan.batch * 32, kExpandBlocks), tables), dim3(kThreads), stream, expand);
  sort(stream, plan, memory);

  const Heads head{.keys = memory.sorted_keys, .n = plan.capacity, .no_lookup = plan.no_lookup()};
  launch(count_heads_kernel, dim3(plan.tiles()), dim3(kThreads), stream, head, memory.tiles);
  launch(scan_tiles_kernel, dim3(1), dim3(kScanThreads), stream, memory.tiles, plan.tiles(), memory.segments);
  launch(write_heads_kernel, dim3(plan.tiles()), dim3(kThreads), stream, head, memory.tiles, memory.begins);
  const Bounds bounds{.tables = memory.tables,
                      .table_count = tables,
                      .n = plan.capacity,
                      .rows = plan.rows,
                      .shard_bits = plan.shard_bits,
                      .keys = memory.sorted_keys,
                      .begins = memory.begins,
                      .segments = memory.segments,
                      .lookups = memory.lookups,
                      .heaviest = memory.heaviest,
                      .table_segment = memory.table_segment};
  launch_flat(bounds_kernel, int64_t{tables} + 1, stream, bounds);
  find_hot(stream, plan, memory);
}

}  // namespace mtrank::cuda
