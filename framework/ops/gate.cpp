#include "framework/ops/gate.h"

#include "framework/core/error.h"
#include "framework/core/reduce.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

ValueId gate(Builder& builder, ValueId gates, ValueId x) { return builder.apply1(ops::gate, {gates, x}); }

namespace ops {
namespace {

std::vector<int64_t> gate_shapes(const ShapeCall& call) {
  const int64_t gates = call.in[0].cols, width = call.in[1].cols;
  if (gates < 1 || width % gates)
    throw ShapeError(std::to_string(gates) + " gates do not divide " + std::to_string(width) + " columns");
  return {width};
}

template <class T>
void gate_cpu(const OpCall& call) {
  const View gates = call.in[0], x = call.in[1], y = call.out[0];
  const int64_t count = gates.cols, width = x.cols / count;
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r)
      for (int64_t e = 0; e < count; ++e) {
        const T weight = gates.row<const T>(r)[e];
        const T* in = x.row<const T>(r) + e * width;
        write_row(y.row<T>(r) + e * width, width, false,
                  [=](int64_t i) MTRANK_INLINE_LAMBDA { return weight * in[i]; });
      }
  });
}

/// in: dy, gates, x; out: dgates, dx.
template <class T>
void gate_gradient_cpu(const OpCall& call) {
  const View dy = call.in[0], gates = call.in[1], x = call.in[2], dgates = call.out[0], dx = call.out[1];
  const int64_t count = gates.cols, width = x.cols / count;
  const bool add_gates = call.accumulate[0], add_x = call.accumulate[1];
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < dy.rows; ++r)
      for (int64_t e = 0; e < count; ++e) {
        const T *d = dy.row<const T>(r) + e * width, *in = x.row<const T>(r) + e * width;
        if (dgates.data) {
          T* out = dgates.row<T>(r) + e;
          const T dot =
              lanes::fold<T>(width, [=](T s, int64_t i) MTRANK_INLINE_LAMBDA { return math::fma(d[i], in[i], s); });
          *out = add_gates ? *out + dot : dot;
        }
        if (!dx.data) continue;
        const T weight = gates.row<const T>(r)[e];
        write_row(dx.row<T>(r) + e * width, width, add_x,
                  [=](int64_t i) MTRANK_INLINE_LAMBDA { return weight * d[i]; });
      }
  });
}

void gate_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId dy = grads.gradient(node.outputs[0]);
  if (dy != kNoValue) grads.emit(gate_gradient, {dy, node.inputs[0], node.inputs[1]}, {node.inputs[0], node.inputs[1]});
}

}  // namespace

const Op gate{.name = "gate",
              .summary = "y_e = g_e * x_e",
              .takes = "xx",
              .shapes = gate_shapes,
              .backward = gate_backward,
              .cpu_f32 = gate_cpu<float>,
              .cpu_f64 = gate_cpu<double>};

const Op gate_gradient{.name = "gate_gradient",
                       .summary = "dg_e = dy_e . x_e; dx_e = g_e * dy_e",
                       .cpu_f32 = gate_gradient_cpu<float>,
                       .cpu_f64 = gate_gradient_cpu<double>};

}  // namespace ops
}  // namespace mtrank
