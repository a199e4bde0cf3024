#include "cuda/narrow.h"

#include "cuda/access.cuh"
#include "cuda/block_sums.cuh"

namespace mtrank::cuda {
namespace {

constexpr int kWarps = kSumWarps;  // of a block

/// One side of a product, a column slice a group.
struct Side {
  void* data = nullptr;
  int64_t ld = 0, columns = 0;  ///< of a group
  bool half = false;            ///< bf16
  bool aligned = false;         ///< 16-byte accesses are possible in every row of every group
};

Side side_of(const DeviceView& view, int64_t groups) {
  if (!view) return {};
  MTRANK_ASSERT(view.dtype == DType::f32 || view.dtype == DType::bf16);
  const int64_t columns = view.cols / groups;
  return {view.data, view.ld, columns, view.dtype == DType::bf16, aligned(view, groups > 1 ? columns : 0)};
}

template <class T>
struct Vector {
  static constexpr int V = 16 / sizeof(T);
  struct alignas(16) Pack {
    T v[V];
  };
};

/// Columns [column, column + V) of a row of group g; 0 beyond its end.
template <class T, int V = Vector<T>::V>
__device__ void load(const Side& side, int64_t row, int64_t g, int64_t column, float (&x)[V]) {
  const T* from = static_cast<const T*>(side.data) + row * side.ld + g * side.columns + column;
  if (side.aligned && column + V <= side.columns) {
    const auto pack = *reinterpret_cast<const typename Vector<T>::Pack*>(from);
    for (int v = 0; v < V; ++v) x[v] = to_float(pack.v[v]);
  } else {
    for (int v = 0; v < V; ++v) x[v] = column + v < side.columns ? to_float(from[v]) : 0.0f;
  }
}
template <class T, int V = Vector<T>::V>
__device__ void store(const Side& side, int64_t row, int64_t g, int64_t column, const float (&x)[V]) {
  T* to = static_cast<T*>(side.data) + row * side.ld + g * side.columns + column;
  if (side.aligned && column + V <= side.columns) {
    typename Vector<T>::Pack pack;
    for (int v = 0; v < V; ++v) pack.v[v] = from_float<T>(x[v]);
    store_whole(to, pack);
  } else {
    for (int v = 0; v < V; ++v)
      if (column + v < side.columns) to[v] = from_float<T>(x[v]);
  }
}
__device__ float get(const Side& side, int64_t row, int64_t g, int64_t column) {
  const int64_t at = row * side.ld + g * side.columns + column;
  return side.half ? to_float(static_cast<const bf16*>(side.data)[at]) : static_cast<const float*>(side.data)[at];
}
__device__ void put(const Side& side, int64_t row, int64_t g, int64_t column, float x) {
  const int64_t at = row * side.ld + g * side.columns + column;
  if (side.half)
    static_cast<bf16*>(side.data)[at] = to_bf16(x);
  else
    static_cast<float*>(side.data)[at] = x;
}

struct ProductArguments {
  Side in, out, before;
  int64_t rows;
  const float* weights;
  int64_t inner_step, outer_step, group_step;
  const float* bias;
  Activation activation;
  bool accumulate;
};

__device__ float added(const ProductArguments& a, int64_t g, int64_t o, float sum) {
  return a.bias ? sum + a.bias[g * a.out.columns + o] : sum;
}

/// A warp takes kDotRows rows, so that the weights it reads serve all of them. Lane l adds the terms of vectors l,
/// l + 32, ...; then the lanes are added as a tree.
constexpr int kDotRows = 4;

template <class T, int O>
__global__ void __launch_bounds__(32 * kWarps) row_dot_kernel(const ProductArguments a) {
  constexpr int V = Vector<T>::V;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t first = (int64_t{blockIdx.x} * kWarps + threadIdx.x / 32) * kDotRows, g = blockIdx.y;
  if (first >= a.rows) return;
  const float* weights = a.weights + g * a.group_step;
  float sum[kDotRows][O] = {};
  for (int64_t i = lane * V; i < a.in.columns; i += 32 * V) {
    float x[kDotRows][V] = {};
    for (int r = 0; r < kDotRows; ++r)
      if (first + r < a.rows) load<T>(a.in, first + r, g, i, x[r]);
    for (int v = 0; v < V; ++v)
      for (int o = 0; o < O; ++o) {
        const float w = i + v < a.in.columns ? weights[(i + v) * a.inner_step + o * a.outer_step] : 0.0f;
        for (int r = 0; r < kDotRows; ++r) sum[r][o] = math::fma(x[r][v], w, sum[r][o]);
      }
  }
  for (int r = 0; r < kDotRows; ++r)
    for (int o = 0; o < O; ++o) {
      for (int bit = 16; bit > 0; bit /= 2) sum[r][o] += __shfl_xor_sync(0xffffffffu, sum[r][o], bit);
      if (lane != r * O + o || first + r >= a.rows) continue;
      float y = added(a, g, o, sum[r][o]);
      if (a.before.data) put(a.before, first + r, g, o, y);
      y = activation_value(a.activation, y);
      if (a.accumulate) y += get(a.out, first + r, g, o);
      put(a.out, first + r, g, o, y);
    }
}

/// A thread takes V columns of kOuterRows rows, whose weights it keeps.
constexpr int kOuterRows = 4;

template <class T, int I>
__global__ void __launch_bounds__(32 * kWarps) outer_kernel(const ProductArguments a) {
  constexpr int V = Vector<T>::V;
  const int64_t column = (int64_t{blockIdx.y} * 32 + threadIdx.x % 32) * V, g = blockIdx.z;
  const int64_t first = (int64_t{blockIdx.x} * kWarps + threadIdx.x / 32) * kOuterRows;
  if (column >= a.out.columns) return;
  float w[I][V], b[V];
  for (int v = 0; v < V; ++v) {
    const bool there = column + v < a.out.columns;
    for (int i = 0; i < I; ++i)
      w[i][v] = there ? a.weights[g * a.group_step + i * a.inner_step + (column + v) * a.outer_step] : 0.0f;
    b[v] = there ? added(a, g, column + v, 0.0f) : 0.0f;
  }
  for (int r = 0; r < kOuterRows && first + r < a.rows; ++r) {
    float y[V] = {}, old[V] = {};
    for (int i = 0; i < I; ++i) {
      const float x = get(a.in, first + r, g, i);
      for (int v = 0; v < V; ++v) y[v] = math::fma(x, w[i][v], y[v]);
    }
    for (int v = 0; v < V; ++v) y[v] += b[v];
    if (a.before.data) store<T>(a.before, first + r, g, column, y);
    if (a.accumulate) load<T>(a.out, first + r, g, column, old);
    for (int v = 0; v < V; ++v) y[v] = activation_value(a.activation, y[v]) + old[v];
    store<T>(a.out, first + r, g, column, y);
  }
}

/// Calls f with an integral constant of n, 1 <= n <= 5.
template <class F>
void with_count(int64_t n, const F& f) {
  switch (n) {
    case 1:
      return f(std::integral_constant<int, 1>{});
    case 2:
      return f(std::integral_constant<int, 2>{});
    case 3:
      return f(std::integral_constant<int, 3>{});
    case 4:
      return f(std::integral_constant<int, 4>{});
    default:
      MTRANK_ASSERT(n == 5);
      return f(std::integral_constant<int, 5>{});
  }
}

unsigned grid_size(int64_t n) {
  MTRANK_ASSERT(n <= INT32_MAX);
  return static_cast<unsigned>(n);
}

/// Sums over all rows: Σ_r wide(r, a) * thin(r, c), where one side may have a column of ones at its end.
struct SumArguments {
  Side wide, thin;
  int64_t rows, block_rows, groups;
  int64_t wide_columns;  ///< of a group, with the ones
  float* partial;        ///< [row blocks, groups, wide_columns, C]
};

/// A block sums a block of rows: warp w rows w, w + 8, ...; then the warps in order.
template <class T, int C>
__global__ void __launch_bounds__(32 * kWarps) row_block_sums_kernel(const SumArguments a) {
  constexpr int V = Vector<T>::V;
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int64_t first = int64_t{blockIdx.x} * 32 * V, column = first + lane * V, g = blockIdx.z;
  const int64_t begin = int64_t{blockIdx.y} * a.block_rows;
  const int64_t end = begin + a.block_rows < a.rows ? begin + a.block_rows : a.rows;
  float sum[V * C] = {};
  if (column < a.wide_columns) {
    constexpr int U = C <= 2 ? 4 : 2;  // rows on their way at the same time
    for (int64_t r = begin + warp; r < end; r += U * kWarps) {
      float x[U][V], y[U][C];
      MTRANK_UNROLL
      for (int u = 0; u < U; ++u) {
        const int64_t row = r + u * kWarps;
        if (row >= end) continue;
        load<T>(a.wide, row, g, column, x[u]);
        for (int c = 0; c < C; ++c) y[u][c] = c < a.thin.columns ? get(a.thin, row, g, c) : 1.0f;
      }
      MTRANK_UNROLL
      for (int u = 0; u < U; ++u) {
        if (r + u * kWarps >= end) continue;
        MTRANK_UNROLL
        for (int v = 0; v < V; ++v) {
          if (column + v == a.wide.columns) x[u][v] = 1.0f;
          for (int c = 0; c < C; ++c) sum[v * C + c] = math::fma(x[u][v], y[u][c], sum[v * C + c]);
        }
      }
    }
  }
  float* partial = a.partial + (int64_t{blockIdx.y} * a.groups + g) * a.wide_columns * C;
  store_block_sums(sum, (a.wide_columns - first) * C, partial + first * C);
}

struct FinishArguments {
  const float* partial;
  int64_t blocks, groups, wide_columns, wide, thin;  ///< with ones; without them
  int C;
  float* weights;
  int64_t wide_step, thin_step, group_step;
  float* bias;
  bool add_weights, add_bias;
};

/// Adds the blocks' partial sums: warp w blocks w, w + 8, ...; then the warps in order.
__global__ void __launch_bounds__(32 * kWarps) finish_sums_kernel(const FinishArguments a) {
  __shared__ float shared[kWarps][32];
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int64_t count = a.groups * a.wide_columns * a.C, at = int64_t{blockIdx.x} * 32 + lane;
  float sum = 0;
  if (at < count)
    for (int64_t b = warp; b < a.blocks; b += kWarps) sum += a.partial[b * count + at];
  shared[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || at >= count) return;
  sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += shared[w][lane];
  const int64_t c = at % a.C, w = at / a.C % a.wide_columns, g = at / a.C / a.wide_columns;
  if (w < a.wide && c < a.thin) {
    float* to = a.weights + g * a.group_step + w * a.wide_step + c * a.thin_step;
    *to = a.add_weights ? *to + sum : sum;
  } else if (w < a.wide || c < a.thin) {  // where the ones meet each other nothing is asked for
    float* to = a.bias + (w < a.wide ? g * a.wide + w : g * a.thin + c);
    *to = a.add_bias ? *to + sum : sum;
  }
}

void finish_sums(FinishArguments f, int64_t rows, int64_t block_rows, const float* partial, const Context& context) {
  f.partial = partial, f.blocks = ceil_div(rows, block_rows);
  const int64_t sums = f.groups * f.wide_columns * f.C;
  launch(finish_sums_kernel, dim3(grid_size(ceil_div(sums, 32))), dim3(32 * kWarps), context.stream, f);
}

/// `ones_wide`, `ones_thin`: which side ends in a column of ones.
void sum_rows(SumArguments a, bool ones_wide, bool ones_thin, FinishArguments f, const Context& context) {
  const int64_t columns = a.thin.columns + ones_thin;
  a.wide_columns = a.wide.columns + ones_wide;
  const int64_t sums = a.groups * a.wide_columns * columns;
  a.block_rows = rows_of_a_block(a.rows, sums);
  const int64_t blocks = ceil_div(a.rows, a.block_rows);
  a.partial = context.scratch_of<float>(static_cast<size_t>(blocks * sums));
  with_type(a.wide.half ? DType::bf16 : DType::f32, [&](auto type) {
    with_count(columns, [&](auto count) {
      using T = decltype(type);
      const dim3 grid(grid_size(ceil_div(a.wide_columns, 32 * Vector<T>::V)), grid_size(blocks), grid_size(a.groups));
      launch(row_block_sums_kernel<T, decltype(count)::value>, grid, dim3(32 * kWarps), context.stream, a);
    });
  });
  f.groups = a.groups, f.wide_columns = a.wide_columns, f.wide = a.wide.columns, f.thin = a.thin.columns;
  f.C = static_cast<int>(columns);
  finish_sums(f, a.rows, a.block_rows, a.partial, context);
}

}  // namespace

void narrow_product(const NarrowProduct& p, const Context& context) {
  ProductArguments a{side_of(p.in, p.groups),
                     side_of(p.out, p.groups),
                     side_of(p.before, p.groups),
                     p.rows,
                     p.weights,
                     p.inner_step,
                     p.outer_step,
                     p.group_step,
                     p.bias,
                     p.activation,
                     p.accumulate};
  MTRANK_ASSERT(!p.before || p.before.dtype == p.out.dtype);
  const dim3 block(32 * kWarps);
  if (p.outer <= kNarrow) {
    const dim3 grid(grid_size(ceil_div(p.rows, kWarps * kDotRows)), grid_size(p.groups));
    with_type(p.in.dtype, [&](auto type) {
      with_count(p.outer, [&](auto count) {
        if constexpr (decltype(count)::value <= kNarrow)
          launch(row_dot_kernel<decltype(type), decltype(count)::value>, grid, block, context.stream, a);
      });
    });
    return;
  }
  MTRANK_ASSERT(p.inner <= kNarrow);
  with_type(p.out.dtype, [&](auto type) {
    with_count(p.inner, [&](auto count) {
      using T = decltype(type);
      const dim3 grid(grid_size(ceil_div(p.rows, kWarps * kOuterRows)), grid_size(ceil_div(p.outer, 32 * Vector<T>::V)),
                      grid_size(p.groups));
      if constexpr (decltype(count)::value <= kNarrow)
        launch(outer_kernel<T, decltype(count)::value>, grid, block, context.stream, a);
    });
  });
}

void narrow_gradient(const NarrowGradient& p, const Context& context) {
  SumArguments a{};
  a.rows = p.rows, a.groups = p.groups;
  const Side x = side_of(p.x, p.groups), dz = side_of(p.dz, p.groups);
  const bool thin_dz = p.n <= kNarrow;
  MTRANK_ASSERT(thin_dz || p.k <= kNarrow);
  a.wide = thin_dz ? x : dz, a.thin = thin_dz ? dz : x;
  FinishArguments f{};
  f.weights = p.weights, f.add_weights = p.add_weights, f.group_step = p.k * p.weights_ld;
  f.wide_step = thin_dz ? p.weights_ld : 1, f.thin_step = thin_dz ? 1 : p.weights_ld;
  f.bias = p.bias, f.add_bias = p.add_bias;
  sum_rows(a, p.bias && thin_dz, p.bias && !thin_dz, f, context);
}

void column_sums(const DeviceView& values, int64_t rows, float* sums, bool accumulate, const Context& context) {
  SumArguments a{};
  a.rows = rows, a.groups = 1;
  a.wide = side_of(values, 1);
  FinishArguments f{};
  f.bias = sums, f.add_bias = accumulate;
  sum_rows(a, false, true, f, context);
}

void finish_column_sums(const float* partial, int64_t rows, int64_t columns, float* sums, bool accumulate,
                        const Context& context) {
  FinishArguments f{};
  f.groups = 1, f.wide_columns = f.wide = columns, f.C = 1;
  f.bias = sums, f.add_bias = accumulate;
  finish_sums(f, rows, rows_of_a_block(rows, columns), partial, context);
}

}  // namespace mtrank::cuda
