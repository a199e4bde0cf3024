#include "framework/ops/sigmoid.h"

#include "framework/core/math.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

ValueId sigmoid(Builder& builder, ValueId x, const std::string& name) {
  return builder.apply1(ops::sigmoid, {x}, {}, name);
}

namespace ops {
namespace {

template <class T>
void sigmoid_cpu(const OpCall& call) {
  const View x = call.in[0], y = call.out[0];
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r) {
      const T* in = x.row<const T>(r);
      write_row(y.row<T>(r), y.cols, false, [=](int64_t i) MTRANK_INLINE_LAMBDA { return math::sigmoid(in[i]); });
    }
  });
}

}  // namespace

const Op sigmoid{.name = "sigmoid",
                 .summary = "y = 1 / (1 + exp(-x))",
                 .takes = "x",
                 .shapes = [](const ShapeCall& call) { return std::vector<int64_t>{call.in[0].cols}; },
                 .cpu_f32 = sigmoid_cpu<float>,
                 .cpu_f64 = sigmoid_cpu<double>,
                 .columns = ColumnMeaning::input};

}  // namespace ops
}  // namespace mtrank
