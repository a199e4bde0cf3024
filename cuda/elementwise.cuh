#pragma once

#include <array>

#include "cuda/access.cuh"
#include "cuda/launch.h"

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

/// Every thread takes U vectors of V columns. All that an element needs is read before it is written, so views may be
/// the same memory.
template <class Access, class F>
__global__ void __launch_bounds__(256) map_kernel(const MapArguments<F::kIn, F::kOut> a, const F f) {
  constexpr int V = Access::V, U = F::kIn > 2 ? 1 : 2;
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
    MTRANK_UNROLL
    for (int j = 0; j < V; ++j) {
      float in[F::kIn], out[F::kOut];
      MTRANK_UNROLL
      for (int i = 0; i < F::kIn; ++i) in[i] = x[u][i][j];
      f(in, out);
      MTRANK_UNROLL
      for (int m = 0; m < F::kOut; ++m) y[m][j] = a.adds >> m & 1 ? old[u][m][j] + out[m] : out[m];
    }
    MTRANK_UNROLL
    for (int m = 0; m < F::kOut; ++m)
      if (a.out[m].data) Access::store(a.out[m], row[u], column[u], a.columns - column[u], y[m]);
  }
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

/// Launches f over all elements of `out`; `in` and `out` have the same shape, those that are absent are 0 and are not
/// written. F is a functor with kIn, kOut and void operator()(const float (&x)[kIn], float (&y)[kOut]) const.
/// Moves every input and output once, and outputs that are added to twice.
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
  // Values without gaps are one long row.
  const int64_t rows = dense ? 1 : shape->rows, columns = dense ? shape->rows * shape->cols : shape->cols;
  for (DeviceView& view : views) view.rows = rows;
  with_access(views, 0, [&](auto access) {
    MapArguments<F::kIn, F::kOut> a;
    constexpr int U = F::kIn > 2 ? 1 : 2;
    const int64_t row_vectors = ceil_div(columns, decltype(access)::V);
    MTRANK_ASSERT(columns < int64_t{1} << 31 && rows * row_vectors < int64_t{1} << 31);
    for (size_t i = 0; i < in.size(); ++i) a.in[i] = Argument(views[i]);
    for (size_t m = 0; m < out.size(); ++m) {
      a.out[m] = Argument(views[in.size() + m]);
      if (add[m] && out[m]) a.adds |= 1u << m;
    }
    a.columns = static_cast<uint32_t>(columns);
    a.vectors = static_cast<uint32_t>(rows * row_vectors);
    a.row_vectors = Divider(row_vectors);
    launch(map_kernel<decltype(access), F>, dim3(static_cast<unsigned>(ceil_div(a.vectors, 256 * U))), dim3(256),
           call.context.stream, a, f);
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
