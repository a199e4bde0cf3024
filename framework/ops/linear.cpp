#include "framework/ops/linear.h"

#include <cmath>

#include "framework/core/error.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/activation.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/gemm.h"
#include "framework/ops/gemm_reference.h"

namespace mtrank {

ValueId linear(Builder& builder, ValueId x, ValueId weight, ValueId bias, const std::string& activation,
               int64_t groups) {
  Attributes attributes{{"activation", activation}, {"groups", groups}};
  std::vector<ValueId> out = builder.apply(ops::linear, {x, weight, bias}, attributes);
  if (!builder.training() || !saves_input(parse_activation(activation)))
    builder.graph().nodes.back().outputs[1] = kNoValue;
  return out[0];
}

ValueId dense(Builder& builder, const std::string& name, ValueId x, int64_t width, const std::string& activation,
              int64_t groups, bool bias) {
  Builder::Scope scope(builder, name);
  const int64_t in = builder.cols(x);
  if (groups < 1 || in % groups)
    throw ShapeError(std::to_string(in) + " columns cannot be cut into " + std::to_string(groups) + " groups");
  const double bound = 1 / std::sqrt(static_cast<double>(in / groups));
  const WeightInit init{WeightInit::Kind::uniform, -bound, bound};
  std::vector<int64_t> weight_shape{in / groups, width}, bias_shape{width};
  if (groups > 1) weight_shape.insert(weight_shape.begin(), groups), bias_shape.insert(bias_shape.begin(), groups);
  const ValueId w = builder.param("weight", in, width, init, weight_shape);
  const ValueId b = bias ? builder.param("bias", 1, groups * width, init, bias_shape) : kNoValue;
  return linear(builder, x, w, b, activation, groups);
}

namespace ops {
namespace {

/// Floats from one group's packed weights to the next: a packed panel is a whole number of cache lines.
int64_t packed_group_floats(int64_t k, int64_t n) { return static_cast<int64_t>(gemm::packed_floats(k, n)); }
static_assert(gemm::panel_columns * sizeof(float) % 64 == 0);

int64_t groups_of(const OpCall& call) { return call.node.attributes.integer("groups", 1); }

std::vector<int64_t> linear_shapes(const ShapeCall& call) {
  const int64_t groups = call.attributes.integer("groups", 1);
  const Value &x = call.in[0], &w = call.in[1], &b = call.in[2];
  parse_activation(call.attributes.text("activation"));
  if (groups < 1 || x.cols % groups)
    throw ShapeError("linear: " + std::to_string(x.cols) + " columns cannot be cut into " + std::to_string(groups) +
                     " groups");
  if (x.cols != w.rows)
    throw ShapeError("an input of " + std::to_string(x.cols) + " columns does not fit weights of " +
                     std::to_string(w.rows) + " rows");
  if (b.cols && b.cols != groups * w.cols)
    throw ShapeError("a bias of " + std::to_string(b.cols) + " does not fit " + std::to_string(groups * w.cols) +
                     " outputs");
  return {groups * w.cols, groups * w.cols};
}

/// y = f(y) over a block that the matrix kernel has just written, keeping z = y where it is wanted.
struct ActivationBlock {
  View y, z;
  Activation activation;

  static void apply(void* context, int64_t row, int64_t rows, int64_t column, int64_t columns) {
    const auto& self = *static_cast<ActivationBlock*>(context);
    self.run<float>(row, rows, column, columns);
  }
  template <class T>
  void run(int64_t row, int64_t rows, int64_t column, int64_t columns) const {
    const View y = this->y, z = this->z;
    with_activation(activation, [&](auto f) {
      for_isa([=]() MTRANK_INLINE_LAMBDA {
        for (int64_t r = row; r < row + rows; ++r) {
          T* out = y.row<T>(r) + column;
          if (z.data) {
            T* keep = z.row<T>(r) + column;
            for (int64_t i = 0; i < columns; ++i) keep[i] = out[i];
          }
          for (int64_t i = 0; i < columns; ++i) out[i] = decltype(f)::value(out[i]);
        }
      });
    });
  }
};

View group_columns(const View& view, int64_t group, int64_t width, size_t element) {
  View part = view;
  if (part.data) part.data = static_cast<std::byte*>(view.data) + static_cast<size_t>(group * width) * element;
  part.cols = width;
  return part;
}

void linear_f32(const OpCall& call) {
  const View &x = call.in[0], &w = call.in[1], &b = call.in[2], &y = call.out[0], &z = call.out[1];
  const int64_t groups = groups_of(call), k = x.cols / groups, n = w.cols;
  const Activation activation = parse_activation(call.node.attributes.text("activation"));
  const auto* packed = static_cast<const float*>(w.packed);
  for (int64_t g = 0; g < groups; ++g) {
    ActivationBlock block{group_columns(y, g, n, 4), group_columns(z, g, n, 4), activation};
    gemm::Epilogue epilogue;
    epilogue.bias = b.data ? b.as<const float>() + g * n : nullptr;
    epilogue.relu = activation == Activation::relu;
    if (activation != Activation::none && !epilogue.relu) {
      epilogue.after = ActivationBlock::apply;
      epilogue.context = &block;
    }
    gemm::multiply(call.rows, k, n, x.as<const float>() + g * k, x.ld, packed + g * packed_group_floats(k, n),
                   y.as<float>() + g * n, y.ld, epilogue);
  }
}

void linear_f64(const OpCall& call) {
  const View &x = call.in[0], &w = call.in[1], &b = call.in[2], &y = call.out[0], &z = call.out[1];
  const int64_t groups = groups_of(call), k = x.cols / groups, n = w.cols;
  for (int64_t g = 0; g < groups; ++g)
    gemm::reference<double>(call.rows, k, n, x.as<const double>() + g * k, x.ld, 1, w.row<const double>(g * k), w.ld, 1,
                            y.as<double>() + g * n, y.ld, b.data ? b.as<const double>() + g * n : nullptr, false);
  const ActivationBlock block{y, z, parse_activation(call.node.attributes.text("activation"))};
  block.run<double>(0, call.rows, 0, y.cols);
}

/// in: dz [B, G N], W [G K, N]; out: dx [B, G K].
void input_gradient_f32(const OpCall& call) {
  const View &dz = call.in[0], &w = call.in[1], &dx = call.out[0];
  const int64_t groups = groups_of(call), k = w.rows / groups, n = w.cols;
  const auto* packed = static_cast<const float*>(w.packed);
  gemm::Epilogue epilogue;
  epilogue.accumulate = call.accumulate[0];
  for (int64_t g = 0; g < groups; ++g)
    gemm::multiply(call.rows, n, k, dz.as<const float>() + g * n, dz.ld, packed + g * packed_group_floats(n, k),
                   dx.as<float>() + g * k, dx.ld, epilogue);
}

void input_gradient_f64(const OpCall& call) {
  const View &dz = call.in[0], &w = call.in[1], &dx = call.out[0];
  const int64_t groups = groups_of(call), k = w.rows / groups, n = w.cols;
  for (int64_t g = 0; g < groups; ++g)
    gemm::reference<double>(call.rows, n, k, dz.as<const double>() + g * n, dz.ld, 1, w.row<const double>(g * k), 1,
                            w.ld, dx.as<double>() + g * k, dx.ld, nullptr, call.accumulate[0]);
}

/// in: x [B, G K], dz [B, G N]; out: dW [G K, N], db [1, G N].
template <class T>
void weight_gradient_cpu(const OpCall& call) {
  const View &x = call.in[0], &dz = call.in[1], &dw = call.out[0], &db = call.out[1];
  const int64_t groups = groups_of(call), k = x.cols / groups, n = dz.cols / groups;
  for (int64_t g = 0; g < groups; ++g) {
    const T *a = x.as<const T>() + g * k, *d = dz.as<const T>() + g * n;
    if constexpr (std::is_same_v<T, float>)
      gemm::weight_gradient(call.rows, k, n, a, x.ld, d, dz.ld, dw.row<T>(g * k), dw.ld, call.accumulate[0]);
    else
      gemm::reference<T>(k, call.rows, n, a, 1, x.ld, d, dz.ld, 1, dw.row<T>(g * k), dw.ld, nullptr,
                         call.accumulate[0]);
  }
  if (!db.data) return;
  if constexpr (std::is_same_v<T, float>) {
    gemm::bias_gradient(call.rows, dz.cols, dz.as<const float>(), dz.ld, db.as<float>(), call.accumulate[1]);
  } else {
    const T one = 1;
    gemm::reference<T>(1, call.rows, dz.cols, &one, 0, 0, dz.as<const T>(), dz.ld, 1, db.as<T>(), dz.cols, nullptr,
                       call.accumulate[1]);
  }
}

void linear_backward(GradBuilder& grads, const OpNode& node) {
  const auto [x, w, b] = std::tuple{node.inputs[0], node.inputs[1], node.inputs[2]};
  ValueId dz = grads.gradient(node.outputs[0]);
  if (dz == kNoValue) return;
  if (parse_activation(node.attributes.text("activation")) != Activation::none) {
    const ValueId dy = dz;
    dz = grads.temporary(node.outputs[0], "dz");
    grads.emit_into(activation_gradient, {dy, node.outputs[0], node.outputs[1]}, {dz}, node.attributes);
  }
  const Attributes groups{{"groups", node.attributes.integer("groups", 1)}};
  grads.emit(linear_weight_gradient, {x, dz}, {w, b}, groups);
  grads.emit(linear_input_gradient, {dz, w}, {x}, groups);
}

double product_flops(const Graph& graph, const OpNode& node, int64_t rows) {
  const Value& w = graph.value(node.op == &linear_weight_gradient ? node.outputs[0] : node.inputs[1]);
  return 2.0 * static_cast<double>(rows) * static_cast<double>(w.rows * w.cols);
}

size_t forward_bytes(int64_t k, int64_t n) { return gemm::packed_floats(k, n) * sizeof(float); }
size_t transposed_bytes(int64_t k, int64_t n) { return gemm::packed_floats(n, k) * sizeof(float); }
void pack_forward(const float* w, int64_t k, int64_t n, void* packed) {
  gemm::pack(k, n, w, n, static_cast<float*>(packed));
}
void pack_transposed(const float* w, int64_t k, int64_t n, void* packed) {
  gemm::pack_transposed(n, k, w, n, static_cast<float*>(packed));
}
const Packing kForward{1, forward_bytes, pack_forward};
const Packing kTransposed{1, transposed_bytes, pack_transposed};

}  // namespace

const Op linear{.name = "linear",
                .summary = "y = f(x W + b), in groups",
                .takes = "xww?",
                .shapes = linear_shapes,
                .backward = linear_backward,
                .cpu_f32 = linear_f32,
                .cpu_f64 = linear_f64,
                .flops = product_flops,
                .packing = &kForward};

const Op linear_input_gradient{.name = "linear_input_gradient",
                               .summary = "dx = dz W^T, in groups",
                               .cpu_f32 = input_gradient_f32,
                               .cpu_f64 = input_gradient_f64,
                               .flops = product_flops,
                               .packing = &kTransposed};

const Op linear_weight_gradient{.name = "linear_weight_gradient",
                                .summary = "dW = x^T dz; db = sum_B dz, in groups",
                                .cpu_f32 = weight_gradient_cpu<float>,
                                .cpu_f64 = weight_gradient_cpu<double>,
                                .flops = product_flops};

}  // namespace ops
}  // namespace mtrank
