#include "framework/ops/gate.h"

#include "cuda/rows.cuh"

namespace mtrank::cuda {
namespace {

struct GateArguments {
  Argument dy, gates, x, dgates, out;  ///< out: y, or dx
  uint32_t width = 0;                  ///< of a part
  uint32_t count = 0;                  ///< parts, of all rows
  Divider parts, vectors;              ///< of a row; of a part
  bool add_gates = false, add = false;
};

template <class Access>
__global__ void __launch_bounds__(kBlock) gate_forward_kernel(const GateArguments a) {
  const uint32_t vector = blockIdx.x * kBlock + threadIdx.x, part = a.vectors.quotient(vector);
  if (part >= a.count) return;
  const uint32_t row = a.parts.quotient(part), e = part - row * a.parts.divisor;
  const uint32_t at = (vector - part * a.vectors.divisor) * Access::V, left = a.width - at;
  const auto x = Access::load(a.x, row, e * a.width + at, left);
  const float weight = a.gates.get(row, e);
  float y[Access::V];
  MTRANK_UNROLL
  for (int j = 0; j < Access::V; ++j) y[j] = weight * x[j];
  Access::store(a.out, row, e * a.width + at, left, y);
}

/// W threads a part; beyond the last part they work on it too, but do not write.
template <class Access, int W>
__global__ void __launch_bounds__(kBlock) gate_gradient_kernel(const GateArguments a) {
  constexpr int V = Access::V;
  const uint32_t own = (blockIdx.x * kBlock + threadIdx.x) / W, part = min(own, a.count - 1);
  const uint32_t row = a.parts.quotient(part), e = part - row * a.parts.divisor;
  const float weight = a.out.data ? a.gates.get(row, e) : 0.0f;
  float dot = 0;
  for (uint32_t at = threadIdx.x % W * V; at < a.width; at += W * V) {
    const uint32_t column = e * a.width + at, left = a.width - at;
    const auto dy = Access::load(a.dy, row, column, left);
    if (a.dgates.data) {
      const auto x = Access::load(a.x, row, column, left);
      MTRANK_UNROLL
      for (int j = 0; j < V; ++j) dot = math::fma(dy[j], x[j], dot);
    }
    if (!a.out.data || own >= a.count) continue;
    typename Access::Vector old;
    if (a.add) old = Access::load(a.out, row, column, left);
    float dx[V];
    MTRANK_UNROLL
    for (int j = 0; j < V; ++j) dx[j] = a.add ? old[j] + weight * dy[j] : weight * dy[j];
    Access::store(a.out, row, column, left, dx);
  }
  dot = sum_over<W>(dot);
  if (a.dgates.data && threadIdx.x % W == 0 && own < a.count) a.dgates.write(row, e, dot, a.add_gates);
}

GateArguments arguments(const DeviceView& gates, const DeviceView& x) {
  GateArguments a;
  a.gates = Argument(gates), a.x = Argument(x);
  a.width = static_cast<uint32_t>(x.cols / gates.cols);
  a.count = static_cast<uint32_t>(x.rows * gates.cols);
  a.parts = Divider(gates.cols);
  return a;
}

}  // namespace

/// Moves 2 E R + E numbers a row.
void launches::gate(const Call& call) {
  const DeviceView &gates = call.in[0], &x = call.in[1], &y = call.out[0];
  GateArguments a = arguments(gates, x);
  a.out = Argument(y);
  with_access({x, y}, a.width, [&](auto access) {
    const int64_t vectors = ceil_div(a.width, decltype(access)::V);
    a.vectors = Divider(vectors);
    launch_flat(gate_forward_kernel<decltype(access)>, a.count * vectors, call.context.stream, a);
  });
}

/// in: dy, gates, x; out: dgates, dx. Moves 3 E R + 2 E numbers a row.
void launches::gate_gradient(const Call& call) {
  const DeviceView &dy = call.in[0], &gates = call.in[1], &x = call.in[2], &dx = call.out[1];
  GateArguments a = arguments(gates, x);
  a.dy = Argument(dy), a.dgates = Argument(call.out[0]), a.out = Argument(dx);
  a.add_gates = call.accumulate[0], a.add = call.accumulate[1];
  with_access({dy, x, dx}, a.width, [&](auto access) {
    using Access = decltype(access);
    with_lanes(ceil_div(a.width, Access::V), [&](auto w) {
      launch_flat(gate_gradient_kernel<Access, w()>, int64_t{a.count} * w(), call.context.stream, a);
    });
  });
}

}  // namespace mtrank::cuda
