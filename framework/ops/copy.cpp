#include "framework/ops/copy.h"

#include "framework/graph/autodiff.h"
#include "framework/ops/elementwise.h"

namespace mtrank::ops {
namespace {

template <class T>
void copy_cpu(const OpCall& call) {
  const View x = call.in[0], y = call.out[0];
  const bool add = call.accumulate[0];
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r) {
      const T* from = x.row<const T>(r);
      write_row(y.row<T>(r), y.cols, add, [=](int64_t i) MTRANK_INLINE_LAMBDA { return from[i]; });
    }
  });
}

template <class T>
void zero_cpu(const OpCall& call) {
  const View y = call.out[0];
  for (int64_t r = 0; r < y.rows; ++r) std::fill_n(y.row<T>(r), y.cols, T(0));
}

void copy_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId dy = grads.gradient(node.outputs[0]);
  if (dy != kNoValue) grads.emit(copy, {dy}, {node.inputs[0]});
}

}  // namespace

const Op copy{.name = "copy",
              .summary = "y = x",
              .takes = "x",
              .shapes = [](const ShapeCall& call) { return std::vector<int64_t>{call.in[0].cols}; },
              .backward = copy_backward,
              .cpu_f32 = copy_cpu<float>,
              .cpu_f64 = copy_cpu<double>,
              .columns = ColumnMeaning::input};

const Op zero{.name = "zero", .summary = "y = 0", .cpu_f32 = zero_cpu<float>, .cpu_f64 = zero_cpu<double>};

}  // namespace mtrank::ops
