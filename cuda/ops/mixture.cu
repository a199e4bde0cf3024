#include "framework/ops/mixture.h"

#include "cuda/gates.h"
#include "cuda/rows.cuh"

namespace mtrank::cuda {
namespace {

struct MixtureArguments {
  Argument dy, gates, x, dgates, out;  ///< out: y, or dx
  Argument logits, dlogits;            ///< of the gates, where their softmax, or its gradient, is made as well
  uint32_t rows = 0, tasks = 0, experts = 0, width = 0;
  Divider vectors;  ///< of an expert
  bool add_gates = false, add = false, add_logits = false;
};

/// Adds N numbers as sum_over<N> does, whose lanes have one each.
template <int N>
__device__ float tree_sum(const float (&x)[N]) {
  if constexpr (N == 1) {
    return x[0];
  } else {
    float sum[N / 2];
    MTRANK_UNROLL
    for (int i = 0; i < N / 2; ++i) sum[i] = x[i] + x[i + N / 2];
    return tree_sum(sum);
  }
}

/// A task's gates as they are kept: those that were made before, or the softmax of its logits.
template <int Most>
__device__ void gates_of(const MixtureArguments& a, uint32_t row, uint32_t task, float (&gate)[Most]) {
  const uint32_t begin = task * a.experts;
  const Argument& from = a.logits.data ? a.logits : a.gates;
  MTRANK_UNROLL
  for (int e = 0; e < Most; ++e) gate[e] = static_cast<uint32_t>(e) < a.experts ? from.get(row, begin + e) : 0.0f;
  if (!a.logits.data) return;
  float top = gate[0], terms[Most];
  MTRANK_UNROLL
  for (int e = 1; e < Most; ++e)
    if (static_cast<uint32_t>(e) < a.experts) top = math::max(gate[e], top);
  MTRANK_UNROLL
  for (int e = 0; e < Most; ++e)
    terms[e] = gate[e] = static_cast<uint32_t>(e) < a.experts ? math::exp(gate[e] - top) : 0.0f;
  const float sum = tree_sum(terms);
  MTRANK_UNROLL
  for (int e = 0; e < Most; ++e) gate[e] = a.gates.kept(gate[e] / sum);
}

/// A thread computes V columns of every task. It holds as many experts as `Most`, and reads them again for every task
/// where there are more.
template <class Access, int Most>
__global__ void __launch_bounds__(kBlock) mixture_forward_kernel(const MixtureArguments a) {
  constexpr int V = Access::V;
  const uint32_t vector = blockIdx.x * kBlock + threadIdx.x, row = a.vectors.quotient(vector);
  if (row >= a.rows) return;
  const uint32_t at = (vector - row * a.vectors.divisor) * V, left = a.width - at;
  typename Access::Vector x[Most > 0 ? Most : 1];
  MTRANK_UNROLL
  for (int e = 0; e < Most; ++e)
    if (static_cast<uint32_t>(e) < a.experts) x[e] = Access::load(a.x, row, e * a.width + at, left);
  for (uint32_t t = 0; t < a.tasks; ++t) {
    float y[V] = {};
    const auto add = [&](uint32_t e, float weight, const typename Access::Vector& expert) {
      MTRANK_UNROLL
      for (int j = 0; j < V; ++j) y[j] = e == 0 ? weight * expert[j] : math::fma(weight, expert[j], y[j]);
    };
    if constexpr (Most > 0) {
      float gate[Most];
      gates_of(a, row, t, gate);
      MTRANK_UNROLL
      for (int e = 0; e < Most; ++e) {
        if (static_cast<uint32_t>(e) >= a.experts) continue;
        add(static_cast<uint32_t>(e), gate[e], x[e]);
        if (at == 0 && a.logits.data) a.gates.put(row, t * a.experts + e, gate[e]);
      }
    } else {
      for (uint32_t e = 0; e < a.experts; ++e)
        add(e, a.gates.get(row, t * a.experts + e), Access::load(a.x, row, e * a.width + at, left));
    }
    Access::store(a.out, row, t * a.width + at, left, y);
  }
}

/// W threads a row; beyond the last row they work on it too, but do not write. For every expert a thread goes over the
/// tasks, `Most` dot products at a time; dy is read again for every expert, from L1.
template <class Access, int W, int Most>
__global__ void __launch_bounds__(kBlock) mixture_gradient_kernel(const MixtureArguments a) {
  constexpr int V = Access::V;
  const uint32_t own = (blockIdx.x * kBlock + threadIdx.x) / W, row = min(own, a.rows - 1);
  for (uint32_t e = 0; e < a.experts; ++e) {
    for (uint32_t first = 0; first < a.tasks; first += Most) {
      float dot[Most] = {};
      for (uint32_t at = threadIdx.x % W * V; at < a.width; at += W * V) {
        const uint32_t left = a.width - at, column = e * a.width + at;
        const bool writes = a.out.data && first == 0 && own < a.rows;
        typename Access::Vector x, dy[Most], old;
        if (a.dgates.data) x = Access::load(a.x, row, column, left);
        MTRANK_UNROLL
        for (int t = 0; t < Most; ++t)
          if (first + t < a.tasks) dy[t] = Access::load(a.dy, row, (first + t) * a.width + at, left);
        if (writes && a.add) old = Access::load(a.out, row, column, left);
        MTRANK_UNROLL
        for (int t = 0; t < Most; ++t) {
          MTRANK_UNROLL
          for (int j = 0; j < V; ++j) dot[t] = math::fma(dy[t][j], x[j], dot[t]);
        }
        if (!writes) continue;
        float dx[V];
        MTRANK_UNROLL
        for (int j = 0; j < V; ++j) dx[j] = old[j];
        const auto add = [&](uint32_t t, const typename Access::Vector& d) {
          const float weight = a.gates.get(row, t * a.experts + e);
          MTRANK_UNROLL
          for (int j = 0; j < V; ++j) dx[j] = t == 0 && !a.add ? weight * d[j] : math::fma(weight, d[j], dx[j]);
        };
        MTRANK_UNROLL
        for (int t = 0; t < Most; ++t)
          if (static_cast<uint32_t>(t) < a.tasks) add(static_cast<uint32_t>(t), dy[t]);
        for (uint32_t t = Most; t < a.tasks; ++t) add(t, Access::load(a.dy, row, t * a.width + at, left));
        Access::store(a.out, row, column, left, dx);
      }
      if (!a.dgates.data) continue;
      MTRANK_UNROLL
      for (int t = 0; t < Most; ++t) {
        if (first + t >= a.tasks) continue;
        const float sum = sum_over<W>(dot[t]);
        if (threadIdx.x % W == 0 && own < a.rows) a.dgates.write(row, (first + t) * a.experts + e, sum, a.add_gates);
      }
    }
  }
  if (!a.dlogits.data) return;
  __syncwarp();  // the row's first thread has written what the others read
  if (own >= a.rows) return;
  for (uint32_t t = threadIdx.x % W; t < a.tasks; t += W) {
    const uint32_t begin = t * a.experts;
    float terms[kGatesTogether] = {};
    MTRANK_UNROLL
    for (int e = 0; e < kGatesTogether; ++e)
      if (static_cast<uint32_t>(e) < a.experts) terms[e] += a.dgates.get(row, begin + e) * a.gates.get(row, begin + e);
    const float dot = tree_sum(terms);
    for (uint32_t e = 0; e < a.experts; ++e)
      a.dlogits.write(row, begin + e, a.gates.get(row, begin + e) * (a.dgates.get(row, begin + e) - dot), a.add_logits);
  }
}

MixtureArguments arguments(const Call& call, const DeviceView& gates, const DeviceView& x) {
  MixtureArguments a;
  a.gates = Argument(gates), a.x = Argument(x);
  a.rows = static_cast<uint32_t>(x.rows);
  a.experts = static_cast<uint32_t>(call.node.attributes.integer("experts"));
  a.tasks = static_cast<uint32_t>(gates.cols) / a.experts;
  a.width = static_cast<uint32_t>(x.cols) / a.experts;
  return a;
}

template <class Access>
void launch_forward(const Call& call, MixtureArguments a) {
  const int64_t vectors = ceil_div(a.width, Access::V);
  a.vectors = Divider(vectors);
  const auto go = [&](auto kernel) { launch_flat(kernel, a.rows * vectors, call.context.stream, a); };
  if (a.experts <= 4)
    go(mixture_forward_kernel<Access, 4>);
  else if (a.experts <= 8)
    go(mixture_forward_kernel<Access, 8>);
  else if (a.experts <= 16)
    go(mixture_forward_kernel<Access, 16>);
  else
    go(mixture_forward_kernel<Access, 0>);
}

template <class Access, int W>
void launch_gradient(const Call& call, const MixtureArguments& a) {
  const auto go = [&](auto kernel) { launch_flat(kernel, int64_t{a.rows} * W, call.context.stream, a); };
  if (a.tasks <= 2)
    go(mixture_gradient_kernel<Access, W, 2>);
  else if (a.tasks <= 4)
    go(mixture_gradient_kernel<Access, W, 4>);
  else
    go(mixture_gradient_kernel<Access, W, 8>);
}

MixtureArguments forward_arguments(const Call& call) {
  MixtureArguments a = arguments(call, call.in[0], call.in[1]);
  a.out = Argument(call.out[0]);
  return a;
}

void launch_forward(const Call& call, const MixtureArguments& a) {
  with_access({call.in[1], call.out[0]}, a.width, [&](auto access) { launch_forward<decltype(access)>(call, a); });
}

MixtureArguments gradient_arguments(const Call& call) {
  MixtureArguments a = arguments(call, call.in[1], call.in[2]);
  a.dy = Argument(call.in[0]), a.dgates = Argument(call.out[0]), a.out = Argument(call.out[1]);
  a.add_gates = call.accumulate[0], a.add = call.accumulate[1];
  return a;
}

void launch_gradient(const Call& call, const MixtureArguments& a) {
  with_access({call.in[0], call.in[2], call.out[1]}, a.width, [&](auto access) {
    using Access = decltype(access);
    with_lanes(ceil_div(a.width, Access::V), [&](auto w) { launch_gradient<Access, w()>(call, a); });
  });
}

}  // namespace

/// All tasks in one pass over the experts; moves (E + T) H + T E numbers a row.
void launches::mixture(const Call& call) { launch_forward(call, forward_arguments(call)); }

/// in: dy, gates, x; out: dgates, dx. Moves (2 E + T) H + 2 T E numbers a row.
void launches::mixture_gradient(const Call& call) { launch_gradient(call, gradient_arguments(call)); }

void launch_gated(const Call& softmax, const Call& mixture) {
  MixtureArguments a = forward_arguments(mixture);
  a.logits = Argument(softmax.in[0]);
  launch_forward(mixture, a);
}

void launch_gated_gradient(const Call& mixture, const Call& softmax) {
  MixtureArguments a = gradient_arguments(mixture);
  a.dlogits = Argument(softmax.out[0]), a.add_logits = softmax.accumulate[0];
  launch_gradient(mixture, a);
}

}  // namespace mtrank::cuda
