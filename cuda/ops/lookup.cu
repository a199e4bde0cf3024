#include "framework/ops/lookup.h"

#include <algorithm>
#include <vector>

#include "cuda/call.h"
#include "cuda/columns.h"
#include "cuda/launch.h"

namespace mtrank::cuda::launches {
namespace {

constexpr int kThreads = 256;
constexpr int kRowsInFlight = 4;
constexpr int kGradientRows = 4;  // rows that a group of lanes takes: a block notes its greatest magnitude once

struct Feature {
  const float* table = nullptr;  // lookup alone
  const void* dy = nullptr;      // lookup_gradient alone
  DeviceIds ids;
  void* out = nullptr;  // null in lookup_gradient: it lies there already
  uint32_t* largest = nullptr;
  int64_t out_ld = 0, dy_ld = 0;
  Pooling pool = Pooling::sum;
  bool low = false;      // lookup alone: out is bf16
  bool aligned = false;  // lookup alone: out can be stored N columns at a time
};

/// Features of one width, as many as a kernel's parameters hold.
struct Features {
  static constexpr size_t kMost = 48;
  Feature at[kMost] = {};
};
static_assert(sizeof(Features) <= 3968);

struct Bag {
  int64_t begin, end;
};

__device__ __forceinline__ Bag bag_of(const DeviceIds& ids, int64_t row) {
  if (!ids.offsets) return {row, row + 1};
  return {ids.offsets[row], ids.offsets[row + 1]};
}

/// What the weights of a bag add up to, for its scale.
__device__ __forceinline__ float norm_term(Pooling pool, float w) { return pool == Pooling::mean ? w : w * w; }
__device__ __forceinline__ float scale_of(Pooling pool, float norm) {
  if (pool == Pooling::sum) return 1.0f;
  if (!(norm > 0.0f)) return 0.0f;
  return 1.0f / (pool == Pooling::mean ? norm : math::sqrt(norm));
}

/// Columns [column, column + N) of a bag: rows are added in the order of their ids, several on their way at a time.
template <int N>
__device__ __forceinline__ Columns<float, N> pool_columns(const Feature& f, const Bag& bag, int64_t dim,
                                                          int64_t column) {
  Columns<float, N> sum{};
  float norm = 0;
  int32_t id[kRowsInFlight];
  MTRANK_UNROLL
  for (int k = 0; k < kRowsInFlight; ++k) id[k] = bag.begin + k < bag.end ? f.ids.ids[bag.begin + k] : -1;
  for (int64_t i = bag.begin; i < bag.end; i += kRowsInFlight) {
    Columns<float, N> row[kRowsInFlight];
    float weight[kRowsInFlight];
    bool used[kRowsInFlight];
    MTRANK_UNROLL
    for (int k = 0; k < kRowsInFlight; ++k) {
      used[k] = id[k] >= 0;
      weight[k] = 1.0f;
      if (!used[k]) continue;
      row[k] = load_columns<N>(f.table + id[k] * dim + column);
      if (f.ids.weights) weight[k] = f.ids.weights[i + k];
    }
    MTRANK_UNROLL
    for (int k = 0; k < kRowsInFlight; ++k) {
      const int64_t next = i + kRowsInFlight + k;
      id[k] = next < bag.end ? f.ids.ids[next] : -1;
    }
    MTRANK_UNROLL
    for (int k = 0; k < kRowsInFlight; ++k) {
      if (!used[k]) continue;
      norm += norm_term(f.pool, weight[k]);
      MTRANK_UNROLL
      for (int l = 0; l < N; ++l) sum.at[l] = math::fma(weight[k], row[k].at[l], sum.at[l]);
    }
  }
  const float scale = scale_of(f.pool, norm);
  MTRANK_UNROLL
  for (int l = 0; l < N; ++l) sum.at[l] *= scale;
  return sum;
}

/// One block of y a feature, so that a table's rows stay in the cache; a group of lanes a bag.
template <int N>
__global__ void __launch_bounds__(kThreads)
    lookup_kernel(const Features features, int64_t rows, int64_t dim, int lane_bits) {
  const Feature& f = features.at[blockIdx.y];
  const LaneGroup group{lane_bits};
  const int64_t row = group.number();
  if (row >= rows) return;
  const Bag bag = bag_of(f.ids, row);
  for (int64_t c = group.lane() * N; c < dim; c += group.size() * N) {
    const Columns<float, N> sum = pool_columns<N>(f, bag, dim, c);
    const int64_t at = row * f.out_ld + c;
    if (f.low)
      store_columns<N>(static_cast<bf16*>(f.out) + at, sum, f.aligned);
    else
      store_columns<N>(static_cast<float*>(f.out) + at, sum, f.aligned);
  }
}

__device__ __forceinline__ float pool_scale(const Feature& f, int64_t row) {
  if (f.pool == Pooling::sum) return 1.0f;
  float norm = 0;
  const Bag bag = bag_of(f.ids, row);
  for (int64_t i = bag.begin; i < bag.end; ++i)
    if (f.ids.ids[i] >= 0) norm += norm_term(f.pool, f.ids.weights ? f.ids.weights[i] : 1.0f);
  return scale_of(f.pool, norm);
}

/// The bits of magnitudes are ordered, a NaN last.
__device__ __forceinline__ void note_largest(uint32_t* largest, uint32_t bits) {
  __shared__ uint32_t warp_largest[kThreads / 32];
  for (int apart = 16; apart > 0; apart /= 2) bits = max(bits, __shfl_xor_sync(0xffffffffu, bits, apart));
  if (threadIdx.x % 32 == 0) warp_largest[threadIdx.x / 32] = bits;
  __syncthreads();
  if (threadIdx.x != 0 || !largest) return;
  for (int w = 1; w < kThreads / 32; ++w) bits = max(bits, warp_largest[w]);
  atomicMax(largest, bits);
}

template <class From, class To, int N>
__global__ void __launch_bounds__(kThreads)
    lookup_gradient_kernel(const Features features, int64_t rows, int64_t dim, int lane_bits) {
  const Feature& f = features.at[blockIdx.y];
  const LaneGroup group{lane_bits};
  uint32_t largest = 0;
  MTRANK_UNROLL
  for (int k = 0; k < kGradientRows; ++k) {
    const int64_t row = group.number() + k * group.count();
    if (row >= rows) continue;
    const float scale = pool_scale(f, row);
    for (int64_t c = group.lane() * N; c < dim; c += group.size() * N) {
      Columns<float, N> x = to_floats(load_columns<N>(static_cast<const From*>(f.dy) + row * f.dy_ld + c));
      MTRANK_UNROLL
      for (int l = 0; l < N; ++l) {
        x.at[l] = to_float(from_float<To>(x.at[l] * scale));  // as it is stored
        largest = max(largest, math::detail::bits(math::abs(x.at[l])));
      }
      if (f.out) store_columns<N>(static_cast<To*>(f.out) + row * f.out_ld + c, x);
    }
  }
  note_largest(f.largest, largest);
}

Pooling pool_of(const Call& call, size_t feature) {
  return static_cast<Pooling>(call.node.attributes.integers("pool")[feature]);
}

/// Calls launch_run(features, count, first) for runs of features that are alike; `first` is the number of one of them.
template <class Alike, class LaunchRun>
void for_runs(const std::vector<Feature>& features, const Alike& alike, const LaunchRun& launch_run) {
  std::vector<uint8_t> done(features.size());
  for (size_t i = 0; i < features.size(); ++i) {
    if (done[i]) continue;
    Features run{};
    size_t count = 0;
    for (size_t j = i; j < features.size() && count < Features::kMost; ++j) {
      if (done[j] || !alike(i, j)) continue;
      run.at[count++] = features[j];
      done[j] = 1;
    }
    launch_run(run, static_cast<unsigned>(count), i);
  }
}

unsigned blocks_for(int64_t groups, int lane_bits) {
  return static_cast<unsigned>(ceil_div(groups << lane_bits, kThreads));
}

/// One at a time where a single column, which is f32, is pooled into a bf16 concat or cut from one.
int64_t columns_at_once(const DeviceView& dy, const DeviceView& out) {
  if (dy.dtype != out.dtype) return 1;
  for (int64_t n = 16 / static_cast<int64_t>(dtype_size(out.dtype)); n >= 4; n /= 2)
    if (rows_aligned(dy, n) && rows_aligned(out, n)) return n;
  return 1;
}

template <class From, class To, int N>
void launch_gradient(const Call& call, const Features& run, unsigned count, int64_t dim) {
  const int bits = lane_bits_of(dim, N);
  launch(lookup_gradient_kernel<From, To, N>, dim3(blocks_for(ceil_div(call.rows, kGradientRows), bits), count),
         dim3(kThreads), call.context.stream, run, call.rows, dim, bits);
}

/// What features that one launch does have in common.
struct GradientShape {
  int64_t dim, at_once;
  bool dy_low, out_low;
  bool operator==(const GradientShape&) const = default;
};

void launch_gradient(const Call& call, const Features& run, unsigned count, const GradientShape& s) {
  if (s.dy_low != s.out_low)
    return s.dy_low ? launch_gradient<bf16, float, 1>(call, run, count, s.dim)
                    : launch_gradient<float, bf16, 1>(call, run, count, s.dim);
  if (s.out_low)
    return s.at_once == 8   ? launch_gradient<bf16, bf16, 8>(call, run, count, s.dim)
           : s.at_once == 4 ? launch_gradient<bf16, bf16, 4>(call, run, count, s.dim)
                            : launch_gradient<bf16, bf16, 1>(call, run, count, s.dim);
  return s.at_once == 4 ? launch_gradient<float, float, 4>(call, run, count, s.dim)
                        : launch_gradient<float, float, 1>(call, run, count, s.dim);
}

}  // namespace

/// DLRM-DCNv2 at batch 65,536: 214 ids and rows of 512 bytes a sample are read, 7.2 GB, of which the distinct 17 % come
/// from memory (1.2 GB: 0.4 ms at 3 TB/s) and the rest from the second-level cache (at 6.8 TB/s all of them take 1.06
/// ms); 26 pooled rows of 256 bytes of bf16 are written, 0.44 GB: 0.15 ms.
void lookup(const Call& call) {
  std::vector<Feature> features;
  std::vector<int64_t> dims;
  std::vector<uint8_t> wide;
  for (size_t f = 0; f < call.out.size(); ++f) {
    const DeviceView &table = call.in[2 * f], &out = call.out[f];
    if (!out) continue;
    MTRANK_ASSERT(table.ld == table.cols && table.cols == out.cols);
    const bool low = out.dtype == DType::bf16;
    dims.push_back(out.cols);
    wide.push_back(rows_aligned(table, 4));
    features.push_back({.table = table.as<const float>(),
                        .ids = call.ids(2 * f + 1),
                        .out = out.data,
                        .out_ld = out.ld,
                        .pool = pool_of(call, f),
                        .low = low,
                        .aligned = rows_aligned(out, 4)});
  }
  for_runs(
      features, [&](size_t i, size_t j) { return dims[i] == dims[j] && wide[i] == wide[j]; },
      [&](const Features& run, unsigned count, size_t first) {
        const int64_t dim = dims[first];
        const int bits = lane_bits_of(dim, wide[first] ? 4 : 1);
        launch(wide[first] ? lookup_kernel<4> : lookup_kernel<1>, dim3(blocks_for(call.rows, bits), count),
               dim3(kThreads), call.context.stream, run, call.rows, dim, bits);
      });
}

/// DLRM-DCNv2 at batch 65,536, bf16: 26 rows of 256 bytes a sample are read, 0.44 GB: 0.15 ms at 3 TB/s; where they are
/// pooled by anything but a sum, as many are written.
void lookup_gradient(const Call& call) {
  std::vector<Feature> features;
  std::vector<GradientShape> shapes;
  for (size_t f = 0; f < call.out.size(); ++f) {
    const DeviceView &dy = call.in[2 * f], &out = call.out[f];
    if (!out) continue;
    shapes.push_back({out.cols, columns_at_once(dy, out), dy.dtype == DType::bf16, out.dtype == DType::bf16});
    features.push_back({.dy = dy.data,
                        .ids = call.ids(2 * f + 1),
                        .out = out.data == dy.data ? nullptr : out.data,
                        .largest = out.largest,
                        .out_ld = out.ld,
                        .dy_ld = dy.ld,
                        .pool = pool_of(call, f)});
  }
  for_runs(
      features, [&](size_t i, size_t j) { return shapes[i] == shapes[j]; },
      [&](const Features& run, unsigned count, size_t first) { launch_gradient(call, run, count, shapes[first]); });
}

}  // namespace mtrank::cuda::launches
