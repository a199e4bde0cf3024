#include "framework/ops/cross.h"

#include "framework/core/error.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

ValueId cross(Builder& builder, ValueId x0, ValueId u, ValueId x) { return builder.apply1(ops::cross, {x0, u, x}); }

namespace ops {
namespace {

template <class T>
void cross_cpu(const OpCall& call) {
  const View x0 = call.in[0], u = call.in[1], x = call.in[2], y = call.out[0];
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r) {
      const T *a = x0.row<const T>(r), *b = u.row<const T>(r), *c = x.row<const T>(r);
      write_row(y.row<T>(r), y.cols, false,
                [=](int64_t i) MTRANK_INLINE_LAMBDA { return math::fma(a[i], b[i], c[i]); });
    }
  });
}

/// in: dy, x0, u; out: dx0, du, in that order: where x0 is u, the second adds to the first. `residual`: x0 is x too.
template <class T>
void cross_gradient_cpu(const OpCall& call) {
  const View dy = call.in[0], x0 = call.in[1], u = call.in[2], dx0 = call.out[0], du = call.out[1];
  const bool add0 = call.accumulate[0], add1 = call.accumulate[1];
  const bool residual = call.node.attributes.integer("residual") != 0;
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < dy.rows; ++r) {
      const T *g = dy.row<const T>(r), *a = x0.row<const T>(r), *b = u.row<const T>(r);
      if (dx0.data && residual)
        write_row(dx0.row<T>(r), dy.cols, add0,
                  [=](int64_t i) MTRANK_INLINE_LAMBDA { return math::fma(g[i], b[i], g[i]); });
      else if (dx0.data)
        write_row(dx0.row<T>(r), dy.cols, add0, [=](int64_t i) MTRANK_INLINE_LAMBDA { return g[i] * b[i]; });
      if (du.data) write_row(du.row<T>(r), dy.cols, add1, [=](int64_t i) MTRANK_INLINE_LAMBDA { return g[i] * a[i]; });
    }
  });
}

void cross_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId dy = grads.gradient(node.outputs[0]);
  if (dy == kNoValue) return;
  const auto [x0, u, x] = std::tuple{node.inputs[0], node.inputs[1], node.inputs[2]};
  const bool residual = x == x0;  // the first layer of a network
  grads.emit(cross_gradient, {dy, x0, u}, {x0, u}, {{"residual", int64_t{residual}}});
  if (!residual) grads.pass(dy, x);
}

}  // namespace

const Op cross{.name = "cross",
               .summary = "y = x0 * u + x",
               .takes = "xxx",
               .shapes = [](const ShapeCall& call) { return std::vector<int64_t>{common_width("cross", call.in)}; },
               .backward = cross_backward,
               .cpu_f32 = cross_cpu<float>,
               .cpu_f64 = cross_cpu<double>,
               .columns = ColumnMeaning::operands,
               .flops = [](const Graph& g, const OpNode& n,
                           int64_t rows) { return 2.0 * static_cast<double>(rows * g.value(n.outputs[0]).cols); }};

const Op cross_gradient{.name = "cross_gradient",
                        .summary = "dx0 = dy * u, or dy * u + dy; du = dy * x0",
                        .cpu_f32 = cross_gradient_cpu<float>,
                        .cpu_f64 = cross_gradient_cpu<double>};

}  // namespace ops
}  // namespace mtrank
