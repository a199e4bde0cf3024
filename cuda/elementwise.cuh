#pragma once

#include <array>

#include "cuda/access.cuh"
#include "cuda/block_sums.cuh"

/// y_m = f(x_0 ... x_n) element by element, or y_m += f.
namespace mtrank::cuda {

template <int In, int Out>
struct MapArguments {
  Argument in[In], out[Out];
  uint32_t adds = 0;     ///< bit m: y_m is added to
  uint32_t columns = 0;  ///< of a row
  uint32_t vectors = 0;  ///< of all rows
  Divider row_vectors;
};

/// y = f(x), plus what was there of outputs that are added to.
template <class Access, class F>
__device__ void apply(const MapArguments<F::kIn, F::kOut>& a, const F& f, const typename Access::Vector (&x)[F::kIn],
                      const typename Access::Vector (&old)[F::kOut], float (&y)[F::kOut][Access::V]) {
  MTRANK_UNROLL
  for (int j = 0; j < Access::V; ++j) {
    float in[F::kIn], out[F::kOut];
    MTRANK_UNROLL
    for (int i = 0; i < F::kIn; ++i) in[i] = x[i][j];
    f(in, out);
    MTRANK_UNROLL
    for (int m = 0; m < F::kOut; ++m) y[m][j] = a.adds >> m & 1 ? old[m][j] + out[m] : out[m];
  }
}

/// Vectors that a thread takes: more of them at a time where an element has few inputs.
template <class F>
constexpr int kVectors = F::kIn > 2 ? 1 : 2;

/// Every thread takes U vectors of V columns. All that an element needs is read before it is written, so views may be
/// the same memory.
template <class Access, class F>
__global__ void __launch_bounds__(256) map_kernel(const MapArguments<F::kIn, F::kOut> a, const F f) {
  constexpr int V = Access::V, U = kVectors<F>;
  typename Access::Vector x[U][F::kIn], old[U][F::kOut];
  uint32_t row[U], column[U];
  const uint32_t first = blockIdx.x * (256 * U) + threadIdx.x;
  MTRANK_UNROLL
  for (int u = 0; u < U; ++u) {
    const uint32_t vector = first + 256 * u;
    row[u] = a.row_vectors.quotient(vector);
    column[u] = (vector - row[u] * a.row_vectors.divisor) * V;
    if (vector >= a.vectors) continue;
    MTRANK_UNROLL
    for (int i = 0; i < F::kIn; ++i)
      if (a.in[i].data) x[u][i] = Access::load(a.in[i], row[u], column[u], a.columns - column[u]);
    MTRANK_UNROLL
    for (int m = 0; m < F::kOut; ++m)
      if (a.adds >> m & 1) old[u][m] = Access::load(a.out[m], row[u], column[u], a.columns - column[u]);
  }
  MTRANK_UNROLL
  for (int u = 0; u < U; ++u) {
    if (first + 256 * u >= a.vectors) continue;
    float y[F::kOut][V];
    apply<Access>(a, f, x[u], old[u], y);
    MTRANK_UNROLL
    for (int m = 0; m < F::kOut; ++m)
      if (a.out[m].data) Access::store(a.out[m], row[u], column[u], a.columns - column[u], y[m]);
  }
}

/// The same where output F::kSummed is summed over the rows besides, as it is kept. Threads are laid out by column: a
/// block has 32 vectors of a block of rows, a warp every eighth of them.
template <class Access, class F>
__global__ void __launch_bounds__(32 * kSumWarps)
    map_and_sum_kernel(const MapArguments<F::kIn, F::kOut> a, const F f, const uint32_t rows, const uint32_t block_rows,
                       float* partial) {
  constexpr int V = Access::V;
  const uint32_t tile = blockIdx.x * (32 * V), column = tile + threadIdx.x % 32 * V;
  const uint32_t begin = blockIdx.y * block_rows, end = min(begin + block_rows, rows);
  float sum[V] = {};
  if (column < a.columns) {
    const uint32_t left = a.columns - column;
    for (uint32_t row = begin + threadIdx.x / 32; row < end; row += kSumWarps) {
      typename Access::Vector x[F::kIn], old[F::kOut];
      MTRANK_UNROLL
      for (int i = 0; i < F::kIn; ++i)
        if (a.in[i].data) x[i] = Access::load(a.in[i], row, column, left);
      MTRANK_UNROLL
      for (int m = 0; m < F::kOut; ++m)
        if (a.adds >> m & 1) old[m] = Access::load(a.out[m], row, column, left);
      float y[F::kOut][V];
      apply<Access>(a, f, x, old, y);
      MTRANK_UNROLL
      for (int m = 0; m < F::kOut; ++m)
        if (a.out[m].data) Access::store(a.out[m], row, column, left, y[m]);
      MTRANK_UNROLL
      for (int j = 0; j < V; ++j) sum[j] += Access::kept(y[F::kSummed][j]);
    }
  }
  store_block_sums(sum, int64_t{a.columns} - tile, partial + uint64_t{blockIdx.y} * a.columns + tile);
}

/// Whether two outputs share memory. Slices of the same value do not, as long as their columns differ.
inline bool overlap(const DeviceView& a, const DeviceView& b) {
  if (!a || !b) return false;
  const auto size = static_cast<int64_t>(dtype_size(a.dtype));
  const auto begin = [](const DeviceView& v) { return reinterpret_cast<intptr_t>(v.data); };
  const auto end = [&](const DeviceView& v) {
    return begin(v) + ((v.rows - 1) * v.ld + v.cols) * static_cast<int64_t>(dtype_size(v.dtype));
  };
  if (end(a) <= begin(b) || end(b) <= begin(a)) return false;
  if (a.dtype != b.dtype || a.ld != b.ld || a.ld == 0) return true;
  const int64_t apart = ((begin(b) - begin(a)) / size % a.ld + a.ld) % a.ld;
  return apart < a.cols || a.ld - apart < b.cols;
}

/// map() where output F::kSummed is summed too. False, and nothing is launched, where the views do not allow it.
template <class F>
bool map_and_sum(const Call& call, const F& f, std::span<const DeviceView> views, uint32_t adds) {
  const DeviceView& dz = views[F::kIn + F::kSummed];
  bool done = false;
  with_access(views, 0, [&](auto access) {
    if constexpr (decltype(access)::V > 1) {
      MapArguments<F::kIn, F::kOut> a;
      for (size_t i = 0; i < F::kIn; ++i) a.in[i] = Argument(views[i]);
      for (size_t m = 0; m < F::kOut; ++m) a.out[m] = Argument(views[F::kIn + m]);
      a.adds = adds, a.columns = static_cast<uint32_t>(dz.cols);
      const int64_t block_rows = rows_of_a_block(dz.rows, dz.cols);
      const dim3 grid(static_cast<unsigned>(ceil_div(dz.cols, 32 * decltype(access)::V)),
                      static_cast<unsigned>(ceil_div(dz.rows, block_rows)));
      launch(map_and_sum_kernel<decltype(access), F>, grid, dim3(32 * kSumWarps), call.context.stream, a, f,
             static_cast<uint32_t>(dz.rows), static_cast<uint32_t>(block_rows), dz.sums->partial);
      done = dz.sums->made = true;
    }
  });
  return done;
}

/// Launches f over all elements of `out`; `in` and `out` have the same shape, those that are absent are 0 and are not
/// written. F is a functor with kIn, kOut (and kSummed, where an output can be a dz that is summed) and void
/// operator()(const float (&x)[kIn], float (&y)[kOut]) const. Moves every input and output once, and outputs that are
/// added to twice.
template <class F>
void map(const Call& call, const F& f, std::array<DeviceView, F::kIn> in, std::array<DeviceView, F::kOut> out,
         std::array<uint8_t, F::kOut> add) {
  // Where x0 is x1, the second gradient is added to the first: one after the other.
  for (int m = 1; m < F::kOut; ++m)
    for (int k = 0; k < m; ++k)
      if (overlap(out[static_cast<size_t>(k)], out[static_cast<size_t>(m)])) {
        auto head = out, tail = out;
        for (int i = 0; i < F::kOut; ++i) (i < m ? tail : head)[static_cast<size_t>(i)] = {};
        map(call, f, in, head, add);
        return map(call, f, in, tail, add);
      }
  std::array<DeviceView, F::kIn + F::kOut> views;
  std::copy(out.begin(), out.end(), std::copy(in.begin(), in.end(), views.begin()));
  const DeviceView* shape = nullptr;
  bool dense = true;
  for (const DeviceView& view : views) {
    if (!view) continue;
    dense = dense && view.ld == view.cols;
    shape = &view;
  }
  if (!shape || shape->rows * shape->cols == 0) return;
  uint32_t adds = 0;
  for (size_t m = 0; m < out.size(); ++m)
    if (add[m] && out[m]) adds |= 1u << m;
  if constexpr (requires { F::kSummed; })
    if (const DeviceView& dz = out[F::kSummed]; dz && dz.sums && map_and_sum(call, f, views, adds)) return;
  // Values without gaps are one long row.
  const int64_t rows = dense ? 1 : shape->rows, columns = dense ? shape->rows * shape->cols : shape->cols;
  for (DeviceView& view : views) view.rows = rows;
  with_access(views, 0, [&](auto access) {
    MapArguments<F::kIn, F::kOut> a;
    const int64_t row_vectors = ceil_div(columns, decltype(access)::V);
    MTRANK_ASSERT(columns < int64_t{1} << 31 && rows * row_vectors < int64_t{1} << 31);
    for (size_t i = 0; i < in.size(); ++i) a.in[i] = Argument(views[i]);
    for (size_t m = 0; m < out.size(); ++m) a.out[m] = Argument(views[in.size() + m]);
    a.adds = adds;
    a.columns = static_cast<uint32_t>(columns);
    a.vectors = static_cast<uint32_t>(rows * row_vectors);
    a.row_vectors = Divider(row_vectors);
    launch(map_kernel<decltype(access), F>, dim3(static_cast<unsigned>(ceil_div(a.vectors, 256 * kVectors<F>))),
           dim3(256), call.context.stream, a, f);
  });
}

/// f from a node's inputs to its outputs, in their order.
template <class F>
void map(const Call& call, const F& f) {
  std::array<DeviceView, F::kIn> in;
  std::array<DeviceView, F::kOut> out;
  std::array<uint8_t, F::kOut> add;
  std::copy_n(call.in.begin(), F::kIn, in.begin());
  std::copy_n(call.out.begin(), F::kOut, out.begin());
  std::copy_n(call.accumulate.begin(), F::kOut, add.begin());
  map(call, f, in, out, add);
}

}  // namespace mtrank::cuda
