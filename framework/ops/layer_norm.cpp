#include "framework/ops/layer_norm.h"

#include "framework/core/error.h"
#include "framework/core/reduce.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

ValueId layer_norm(Builder& builder, ValueId x, ValueId gamma, ValueId beta, int64_t groups, double epsilon) {
  const ValueId y = builder.apply1(ops::layer_norm, {x, gamma, beta}, {{"groups", groups}, {"epsilon", epsilon}});
  Graph& graph = builder.graph();
  std::vector<ValueId>& outputs = graph.nodes.back().outputs;
  for (size_t statistic : {1, 2}) {
    if (builder.training())
      graph.values[static_cast<size_t>(outputs[statistic])].whole = true;
    else
      outputs[statistic] = kNoValue;
  }
  return y;
}

ValueId layer_norm(Builder& builder, const std::string& name, ValueId x, int64_t groups) {
  Builder::Scope scope(builder, name);
  const int64_t width = builder.cols(x);
  if (groups < 1 || width % groups)
    throw ShapeError(std::to_string(width) + " columns cannot be cut into " + std::to_string(groups) + " groups");
  std::vector<int64_t> shape{width / groups};
  if (groups > 1) shape.insert(shape.begin(), groups);
  const ValueId gamma = builder.param("scale", 1, width, {WeightInit::Kind::constant, 1}, shape);
  const ValueId beta = builder.param("bias", 1, width, {}, shape);
  return layer_norm(builder, x, gamma, beta, groups);
}

namespace ops {
namespace {

std::vector<int64_t> layer_norm_shapes(const ShapeCall& call) {
  const int64_t groups = call.attributes.integer("groups", 1), width = call.in[0].cols;
  for (const Value& weight : call.in.subspan(1))
    if (weight.cols != width)
      throw ShapeError("layer_norm: weights of " + std::to_string(weight.cols) + " columns do not fit an input of " +
                       std::to_string(width));
  if (!(call.attributes.number("epsilon") >= 0)) throw ShapeError("layer_norm: its epsilon is not a number from 0");
  if (groups < 1 || width % groups)
    throw ShapeError("layer_norm: " + std::to_string(width) + " columns cannot be cut into " + std::to_string(groups) +
                     " groups");
  return {width, groups, groups};
}

template <class T>
struct Moments {
  T mean, rstd;
};

template <class T>
MTRANK_INLINE Moments<T> moments(const T* x, int64_t n, T epsilon) {
  const T mean = lanes::fold<T>(n, [=](T s, int64_t i) MTRANK_INLINE_LAMBDA { return s + x[i]; }) / static_cast<T>(n);
  const T square = lanes::fold<T>(n, [=](T s, int64_t i) MTRANK_INLINE_LAMBDA {
    const T d = x[i] - mean;
    return math::fma(d, d, s);
  });
  return {mean, math::rsqrt(square / static_cast<T>(n) + epsilon)};
}

template <class T>
void layer_norm_cpu(const OpCall& call) {
  const View x = call.in[0], gamma = call.in[1], beta = call.in[2];
  const View y = call.out[0], mean = call.out[1], rstd = call.out[2];
  const int64_t groups = call.node.attributes.integer("groups", 1), width = x.cols / groups;
  const T epsilon = static_cast<T>(call.node.attributes.number("epsilon"));
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < y.rows; ++r)
      for (int64_t g = 0; g < groups; ++g) {
        const T* in = x.row<const T>(r) + g * width;
        const T *scale = gamma.as<const T>() + g * width, *bias = beta.as<const T>() + g * width;
        const Moments<T> m = moments(in, width, epsilon);
        write_row(y.row<T>(r) + g * width, width, false, [=](int64_t i) MTRANK_INLINE_LAMBDA {
          return math::fma((in[i] - m.mean) * m.rstd, scale[i], bias[i]);
        });
        if (mean.data) mean.row<T>(r)[g] = m.mean;
        if (rstd.data) rstd.row<T>(r)[g] = m.rstd;
      }
  });
}

/// in: dy, x, gamma, mean, rstd; out: dx, dgamma, dbeta.
template <class T>
void input_gradient(const OpCall& call) {
  const View dy = call.in[0], x = call.in[1], gamma = call.in[2], mean = call.in[3], rstd = call.in[4];
  const View dx = call.out[0];
  const int64_t groups = call.node.attributes.integer("groups", 1), width = x.cols / groups;
  const bool add = call.accumulate[0];
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t r = 0; r < dy.rows; ++r)
      for (int64_t g = 0; g < groups; ++g) {
        const T *d = dy.row<const T>(r) + g * width, *in = x.row<const T>(r) + g * width;
        const T* scale = gamma.as<const T>() + g * width;
        const T mu = mean.row<const T>(r)[g], inverse = rstd.row<const T>(r)[g];
        const T sum =
            lanes::fold<T>(width, [=](T s, int64_t i) MTRANK_INLINE_LAMBDA { return math::fma(d[i], scale[i], s); });
        const T dot = lanes::fold<T>(width, [=](T s, int64_t i) MTRANK_INLINE_LAMBDA {
          return math::fma(d[i] * scale[i], (in[i] - mu) * inverse, s);
        });
        const T a = sum / static_cast<T>(width), b = dot / static_cast<T>(width);
        write_row(dx.row<T>(r) + g * width, width, add, [=](int64_t i) MTRANK_INLINE_LAMBDA {
          return (d[i] * scale[i] - a - (in[i] - mu) * inverse * b) * inverse;
        });
      }
  });
}

template <class T>
void weight_gradients(const OpCall& call) {
  const View dy = call.in[0], x = call.in[1], mean = call.in[3], rstd = call.in[4];
  const View dgamma = call.out[1], dbeta = call.out[2];
  const int64_t groups = call.node.attributes.integer("groups", 1), width = x.cols / groups, n = x.cols;
  const bool add_gamma = call.accumulate[1], add_beta = call.accumulate[2];
  T* const gamma_sum = call.scratch.get<T>(static_cast<size_t>(2 * n));
  T* const beta_sum = gamma_sum + n;
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t i = 0; i < 2 * n; ++i) gamma_sum[i] = T(0);
    for (int64_t r = 0; r < dy.rows; ++r)
      for (int64_t g = 0; g < groups; ++g) {
        const T *d = dy.row<const T>(r) + g * width, *in = x.row<const T>(r) + g * width;
        const T mu = mean.row<const T>(r)[g], inverse = rstd.row<const T>(r)[g];
        T *s = gamma_sum + g * width, *t = beta_sum + g * width;
        for (int64_t i = 0; i < width; ++i) s[i] = math::fma(d[i], (in[i] - mu) * inverse, s[i]);
        for (int64_t i = 0; i < width; ++i) t[i] += d[i];
      }
    if (dgamma.data)
      write_row(dgamma.as<T>(), n, add_gamma, [=](int64_t i) MTRANK_INLINE_LAMBDA { return gamma_sum[i]; });
    if (dbeta.data) write_row(dbeta.as<T>(), n, add_beta, [=](int64_t i) MTRANK_INLINE_LAMBDA { return beta_sum[i]; });
  });
}

template <class T>
void layer_norm_gradient_cpu(const OpCall& call) {
  if (call.out[0].data) input_gradient<T>(call);
  if (call.out[1].data || call.out[2].data) weight_gradients<T>(call);
}

void layer_norm_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId dy = grads.gradient(node.outputs[0]);
  if (dy == kNoValue) return;
  const auto [x, gamma, beta] = std::tuple{node.inputs[0], node.inputs[1], node.inputs[2]};
  grads.emit(layer_norm_gradient, {dy, x, gamma, node.outputs[1], node.outputs[2]}, {x, gamma, beta}, node.attributes);
}

double width_flops(const Graph& graph, const OpNode& node, int64_t rows) {
  return 8.0 * static_cast<double>(rows * graph.value(node.inputs[0]).cols);
}

}  // namespace

const Op layer_norm{.name = "layer_norm",
                    .summary = "y = gamma * (x - mean) / sqrt(var + eps) + beta, in groups",
                    .takes = "xww",
                    .shapes = layer_norm_shapes,
                    .backward = layer_norm_backward,
                    .cpu_f32 = layer_norm_cpu<float>,
                    .cpu_f64 = layer_norm_cpu<double>,
                    .columns = ColumnMeaning::input,
                    .flops = width_flops};

const Op layer_norm_gradient{.name = "layer_norm_gradient",
                             .summary = "dx, dgamma, dbeta of layer_norm",
                             .cpu_f32 = layer_norm_gradient_cpu<float>,
                             .cpu_f64 = layer_norm_gradient_cpu<double>,
                             .flops = width_flops};

}  // namespace ops
}  // namespace mtrank
