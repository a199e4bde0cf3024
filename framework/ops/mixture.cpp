#include "framework/ops/mixture.h"

#include "framework/core/error.h"
#include "framework/core/math.h"
#include "framework/core/reduce.h"
#include "framework/graph/autodiff.h"

namespace mtrank {

ValueId mixture(Builder& builder, ValueId gates, ValueId experts, int64_t count) {
  return builder.apply1(ops::mixture, {gates, experts}, {{"experts", count}});
}

namespace ops {
namespace {

std::vector<int64_t> mixture_shapes(const ShapeCall& call) {
  const int64_t count = call.attributes.integer("experts");
  if (count < 1 || call.in[0].cols % count || call.in[1].cols % count)
    throw ShapeError("a mixture of " + std::to_string(count) + " experts does not divide gates of " +
                     std::to_string(call.in[0].cols) + " and experts of " + std::to_string(call.in[1].cols) +
                     " columns");
  return {call.in[0].cols / count * (call.in[1].cols / count)};
}

struct Extents {
  int64_t tasks, experts, width;
};
Extents extents(const OpCall& call, const View& gates, const View& experts) {
  const int64_t count = call.node.attributes.integer("experts");
  return {gates.cols / count, count, experts.cols / count};
}

template <class T>
void mixture_cpu(const OpCall& call) {
  const View gates = call.in[0], x = call.in[1], y = call.out[0];
  const auto [tasks, experts, width] = extents(call, gates, x);
  for_isa([=, tasks = tasks, experts = experts, width = width]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r) {
      for (int64_t t = 0; t < tasks; ++t) {
        const T* g = gates.row<const T>(r) + t * experts;
        T* out = y.row<T>(r) + t * width;
        for (int64_t e = 0; e < experts; ++e) {
          const T* in = x.row<const T>(r) + e * width;
          const T weight = g[e];
          if (e == 0) {
            for (int64_t h = 0; h < width; ++h) out[h] = weight * in[h];
          } else {
            for (int64_t h = 0; h < width; ++h) out[h] = math::fma(weight, in[h], out[h]);
          }
        }
      }
    }
  });
}

/// in: dy, gates, x; out: dgates, dx.
template <class T>
void mixture_gradient_cpu(const OpCall& call) {
  const View dy = call.in[0], gates = call.in[1], x = call.in[2], dgates = call.out[0], dx = call.out[1];
  const auto [tasks, experts, width] = extents(call, gates, x);
  const bool add_gates = call.accumulate[0], add_x = call.accumulate[1];
  for_isa([=, tasks = tasks, experts = experts, width = width]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < dy.rows; ++r) {
      for (int64_t e = 0; e < experts; ++e) {
        const T* in = x.row<const T>(r) + e * width;
        for (int64_t t = 0; t < tasks; ++t) {
          const T* d = dy.row<const T>(r) + t * width;
          if (dgates.data) {
            T* out = dgates.row<T>(r) + t * experts + e;
            const T dot =
                lanes::fold<T>(width, [=](T s, int64_t h) MTRANK_INLINE_LAMBDA { return math::fma(d[h], in[h], s); });
            *out = add_gates ? *out + dot : dot;
          }
          if (!dx.data) continue;
          T* out = dx.row<T>(r) + e * width;
          const T weight = gates.row<const T>(r)[t * experts + e];
          if (t == 0 && !add_x) {
            for (int64_t h = 0; h < width; ++h) out[h] = weight * d[h];
          } else {
            for (int64_t h = 0; h < width; ++h) out[h] = math::fma(weight, d[h], out[h]);
          }
        }
      }
    }
  });
}

void mixture_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId dy = grads.gradient(node.outputs[0]);
  if (dy != kNoValue)
    grads.emit(mixture_gradient, {dy, node.inputs[0], node.inputs[1]}, {node.inputs[0], node.inputs[1]},
               node.attributes);
}

double mixture_flops(const Graph& graph, const OpNode& node, int64_t rows) {
  return 2.0 * static_cast<double>(rows * graph.value(node.outputs[0]).cols * node.attributes.integer("experts"));
}

}  // namespace

const Op mixture{.name = "mixture",
                 .summary = "y_t = sum_e gate_te * expert_e",
                 .takes = "xx",
                 .shapes = mixture_shapes,
                 .backward = mixture_backward,
                 .cpu_f32 = mixture_cpu<float>,
                 .cpu_f64 = mixture_cpu<double>,
                 .flops = mixture_flops};

const Op mixture_gradient{
    .name = "mixture_gradient",
    .summary = "dgate_te = dy_t . expert_e; dexpert_e = sum_t gate_te * dy_t",
    .cpu_f32 = mixture_gradient_cpu<float>,
    .cpu_f64 = mixture_gradient_cpu<double>,
    .flops = [](const Graph& graph, const OpNode& node, int64_t rows) {
      return 4.0 * static_cast<double>(rows * graph.value(node.inputs[0]).cols * node.attributes.integer("experts"));
    }};

}  // namespace ops
}  // namespace mtrank
