#include "framework/ops/product_logit.h"

#include "framework/graph/autodiff.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

ValueId product_logit(Builder& builder, std::span<const ValueId> logits) {
  ValueId result = logits.front();
  for (ValueId next : logits.subspan(1)) result = builder.apply1(ops::product_logit, {result, next});
  return result;
}

namespace ops {
namespace {

template <class T>
void product_logit_cpu(const OpCall& call) {
  const View a = call.in[0], b = call.in[1], y = call.out[0];
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r) {
      const T *p = a.row<const T>(r), *q = b.row<const T>(r);
      write_row(y.row<T>(r), y.cols, false,
                [=](int64_t i) MTRANK_INLINE_LAMBDA { return product_logit_of(p[i], q[i]).value; });
    }
  });
}

/// in: ds, a, b; out: da, db.
template <class T>
void product_logit_gradient_cpu(const OpCall& call) {
  const View ds = call.in[0], a = call.in[1], b = call.in[2], da = call.out[0], db = call.out[1];
  const bool add_a = call.accumulate[0], add_b = call.accumulate[1];
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < ds.rows; ++r) {
      const T *g = ds.row<const T>(r), *p = a.row<const T>(r), *q = b.row<const T>(r);
      if (da.data)
        write_row(da.row<T>(r), ds.cols, add_a,
                  [=](int64_t i) MTRANK_INLINE_LAMBDA { return g[i] * product_logit_of(p[i], q[i]).da; });
      if (db.data)
        write_row(db.row<T>(r), ds.cols, add_b,
                  [=](int64_t i) MTRANK_INLINE_LAMBDA { return g[i] * product_logit_of(p[i], q[i]).db; });
    }
  });
}

void product_logit_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId ds = grads.gradient(node.outputs[0]);
  if (ds != kNoValue)
    grads.emit(product_logit_gradient, {ds, node.inputs[0], node.inputs[1]}, {node.inputs[0], node.inputs[1]});
}

}  // namespace

const Op product_logit{
    .name = "product_logit",
    .summary = "s = logit(sigmoid(a) * sigmoid(b))",
    .takes = "xx",
    .shapes = [](const ShapeCall& call) { return std::vector<int64_t>{common_width("product_logit", call.in)}; },
    .backward = product_logit_backward,
    .cpu_f32 = product_logit_cpu<float>,
    .cpu_f64 = product_logit_cpu<double>};

const Op product_logit_gradient{.name = "product_logit_gradient",
                                .summary = "da = ds * (e^-a + e^-(a+b)) / e^-s; db alike",
                                .cpu_f32 = product_logit_gradient_cpu<float>,
                                .cpu_f64 = product_logit_gradient_cpu<double>};

}  // namespace ops
}  // namespace mtrank
