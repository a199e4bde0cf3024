#include "framework/ops/add.h"

#include "framework/core/error.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

ValueId add(Builder& builder, const std::vector<ValueId>& terms, const std::string& name) {
  return terms.size() == 1 ? terms.front() : builder.apply1(ops::add, terms, {}, name);
}

namespace ops {
namespace {

template <class T>
void add_cpu(const OpCall& call) {
  const View a = call.in[0], b = call.in[1], y = call.out[0];
  const std::span<const View> rest = call.in.subspan(2);
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r) {
      const T *p = a.row<const T>(r), *q = b.row<const T>(r);
      T* out = y.row<T>(r);
      write_row(out, y.cols, false, [=](int64_t i) MTRANK_INLINE_LAMBDA { return p[i] + q[i]; });
      for (const View& x : rest) {
        const T* more = x.row<const T>(r);
        write_row(out, y.cols, true, [=](int64_t i) MTRANK_INLINE_LAMBDA { return more[i]; });
      }
    }
  });
}

void add_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId dy = grads.gradient(node.outputs[0]);
  if (dy == kNoValue) return;
  for (size_t i = 0; i + 1 < node.inputs.size(); ++i) grads.emit(copy, {dy}, {node.inputs[i]});
  grads.pass(dy, node.inputs.back());
}

}  // namespace

const Op add{.name = "add",
             .summary = "y = sum_i x_i",
             .takes = "x*",
             .shapes = [](const ShapeCall& call) { return std::vector<int64_t>{common_width("add", call.in)}; },
             .backward = add_backward,
             .cpu_f32 = add_cpu<float>,
             .cpu_f64 = add_cpu<double>,
             .columns = ColumnMeaning::operands};

}  // namespace ops
}  // namespace mtrank
