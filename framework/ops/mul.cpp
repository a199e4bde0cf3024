#include "framework/ops/mul.h"

#include "framework/core/error.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

ValueId mul(Builder& builder, const std::vector<ValueId>& factors, const std::string& name) {
  return factors.size() == 1 ? factors.front() : builder.apply1(ops::mul, factors, {}, name);
}

namespace ops {
namespace {

template <class T>
void mul_cpu(const OpCall& call) {
  const View a = call.in[0], b = call.in[1], y = call.out[0];
  const std::span<const View> rest = call.in.subspan(2);
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r) {
      const T *p = a.row<const T>(r), *q = b.row<const T>(r);
      T* out = y.row<T>(r);
      for (int64_t i = 0; i < y.cols; ++i) out[i] = p[i] * q[i];
      for (const View& x : rest) {
        const T* more = x.row<const T>(r);
        for (int64_t i = 0; i < y.cols; ++i) out[i] *= more[i];
      }
    }
  });
}

/// in: dy, x_0 ...; out: dx_0 ... Products are built a strip at a time, so that they stay in registers or L1.
template <class T>
void mul_gradient_cpu(const OpCall& call) {
  constexpr int64_t strip = 256;
  const View dy = call.in[0];
  const std::span<const View> x = call.in.subspan(1), dx = call.out;
  const std::span<const uint8_t> accumulate = call.accumulate;
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < dy.rows; ++r)
      for (int64_t begin = 0; begin < dy.cols; begin += strip) {
        const int64_t n = math::min(dy.cols - begin, strip);
        for (size_t i = 0; i < dx.size(); ++i) {
          if (!dx[i].data) continue;
          T product[strip];
          const T* g = dy.row<const T>(r) + begin;
          for (int64_t c = 0; c < n; ++c) product[c] = g[c];
          for (size_t j = 0; j < x.size(); ++j) {
            if (j == i) continue;
            const T* factor = x[j].row<const T>(r) + begin;
            for (int64_t c = 0; c < n; ++c) product[c] *= factor[c];
          }
          const T* result = product;
          write_row(dx[i].row<T>(r) + begin, n, accumulate[i],
                    [=](int64_t c) MTRANK_INLINE_LAMBDA { return result[c]; });
        }
      }
  });
}

void mul_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId dy = grads.gradient(node.outputs[0]);
  if (dy == kNoValue) return;
  std::vector<ValueId> inputs{dy};
  inputs.insert(inputs.end(), node.inputs.begin(), node.inputs.end());
  grads.emit(mul_gradient, inputs, node.inputs);
}

double mul_flops(const Graph& graph, const OpNode& node, int64_t rows) {
  return static_cast<double>(rows * graph.value(node.outputs[0]).cols) * static_cast<double>(node.inputs.size() - 1);
}

}  // namespace

const Op mul{.name = "mul",
             .summary = "y = prod_i x_i",
             .takes = "x*",
             .shapes = [](const ShapeCall& call) { return std::vector<int64_t>{common_width("mul", call.in)}; },
             .backward = mul_backward,
             .cpu_f32 = mul_cpu<float>,
             .cpu_f64 = mul_cpu<double>,
             .columns = ColumnMeaning::operands,
             .flops = mul_flops};

const Op mul_gradient{.name = "mul_gradient",
                      .summary = "dx_i = dy * prod_{j != i} x_j",
                      .cpu_f32 = mul_gradient_cpu<float>,
                      .cpu_f64 = mul_gradient_cpu<double>};

}  // namespace ops
}  // namespace mtrank
