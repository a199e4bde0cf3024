#include "framework/ops/softmax.h"

#include "framework/core/error.h"
#include "framework/core/math.h"
#include "framework/graph/autodiff.h"

namespace mtrank {

ValueId softmax(Builder& builder, ValueId x, int64_t size) {
  return builder.apply1(ops::softmax, {x}, {{"size", size}});
}

namespace ops {
namespace {

std::vector<int64_t> softmax_shapes(const ShapeCall& call) {
  const int64_t size = call.attributes.integer("size");
  if (size < 1 || call.in[0].cols % size)
    throw ShapeError("a softmax over groups of " + std::to_string(size) + " does not divide " +
                     std::to_string(call.in[0].cols) + " columns");
  return {call.in[0].cols};
}

template <class T>
MTRANK_INLINE void softmax_group(const T* x, T* y, int64_t size) {
  T top = x[0];
  for (int64_t e = 1; e < size; ++e) top = x[e] > top ? x[e] : top;
  T sum = 0;
  for (int64_t e = 0; e < size; ++e) y[e] = math::exp(x[e] - top);
  for (int64_t e = 0; e < size; ++e) sum += y[e];
  for (int64_t e = 0; e < size; ++e) y[e] = y[e] / sum;
}

template <class T>
void softmax_cpu(const OpCall& call) {
  const View x = call.in[0], y = call.out[0];
  const int64_t size = call.node.attributes.integer("size");
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r)
      for (int64_t g = 0; g < y.cols; g += size) softmax_group(x.row<const T>(r) + g, y.row<T>(r) + g, size);
  });
}

/// in: dy, y; out: dx.
template <class T>
void softmax_gradient_cpu(const OpCall& call) {
  const View dy = call.in[0], y = call.in[1], dx = call.out[0];
  const int64_t size = call.node.attributes.integer("size");
  const bool add = call.accumulate[0];
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < dx.rows; ++r) {
      for (int64_t g = 0; g < dx.cols; g += size) {
        const T *d = dy.row<const T>(r) + g, *p = y.row<const T>(r) + g;
        T* out = dx.row<T>(r) + g;
        T dot = 0;
        for (int64_t e = 0; e < size; ++e) dot += d[e] * p[e];
        for (int64_t e = 0; e < size; ++e) out[e] = (add ? out[e] : T(0)) + p[e] * (d[e] - dot);
      }
    }
  });
}

void softmax_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId y = node.outputs[0], dy = grads.gradient(y);
  if (dy != kNoValue) grads.emit(softmax_gradient, {dy, y}, {node.inputs[0]}, node.attributes);
}

}  // namespace

const Op softmax{.name = "softmax",
                 .summary = "y = softmax(x) over groups of `size` columns",
                 .takes = "x",
                 .shapes = softmax_shapes,
                 .backward = softmax_backward,
                 .cpu_f32 = softmax_cpu<float>,
                 .cpu_f64 = softmax_cpu<double>,
                 .columns = ColumnMeaning::input};

const Op softmax_gradient{.name = "softmax_gradient",
                          .summary = "dx = y * (dy - sum(dy * y))",
                          .cpu_f32 = softmax_gradient_cpu<float>,
                          .cpu_f64 = softmax_gradient_cpu<double>};

}  // namespace ops
}  // namespace mtrank
