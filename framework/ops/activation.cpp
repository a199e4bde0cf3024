#include "framework/ops/activation.h"

#include "framework/core/error.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/elementwise.h"

namespace mtrank {

const std::vector<std::string>& activation_names() {
  static const std::vector<std::string> names = {
#define MTRANK_ACTIVATION(name) #name,
#include "framework/ops/activations.def"
#undef MTRANK_ACTIVATION
  };
  return names;
}

Activation parse_activation(const std::string& name) {
  std::string known;
  for (size_t i = 0; i < activation_names().size(); ++i) {
    if (name == activation_names()[i]) return static_cast<Activation>(i);
    known += (i ? ", " : "") + activation_names()[i];
  }
  throw ShapeError("activation '" + name + "' is not one of " + known);
}

bool saves_input(Activation activation) {
  bool saves = false;
  with_activation(activation, [&](auto f) { saves = decltype(f)::kSavesInput; });
  return saves;
}

ValueId activate(Builder& builder, ValueId x, const std::string& activation) {
  if (parse_activation(activation) == Activation::none) return x;
  return builder.apply1(ops::activation, {x}, {{"activation", activation}}, activation);
}

namespace ops {
namespace {

std::vector<int64_t> activation_shapes(const ShapeCall& call) {
  parse_activation(call.attributes.text("activation"));
  return {call.in[0].cols};
}

template <class T>
void activation_cpu(const OpCall& call) {
  const View x = call.in[0], y = call.out[0];
  with_activation(parse_activation(call.node.attributes.text("activation")), [&](auto f) {
    for_isa([=]() MTRANK_INLINE_LAMBDA {
      for (int64_t r = 0; r < y.rows; ++r) {
        const T* in = x.row<const T>(r);
        write_row(y.row<T>(r), y.cols, false,
                  [=](int64_t i) MTRANK_INLINE_LAMBDA { return decltype(f)::value(in[i]); });
      }
    });
  });
}

void activation_backward(GradBuilder& grads, const OpNode& node) {
  const ValueId x = node.inputs[0], y = node.outputs[0], dy = grads.gradient(y);
  if (dy == kNoValue) return;
  const bool needs_input = saves_input(parse_activation(node.attributes.text("activation")));
  grads.emit(activation_gradient, {dy, y, needs_input ? x : kNoValue}, {x}, node.attributes);
}

template <class T>
void activation_gradient_cpu(const OpCall& call) {
  const View dy = call.in[0], y = call.in[1], z = call.in[2], dz = call.out[0];
  const bool add = call.accumulate[0];
  with_activation(parse_activation(call.node.attributes.text("activation")), [&](auto f) {
    for_isa([=]() MTRANK_INLINE_LAMBDA {
      for (int64_t r = 0; r < dz.rows; ++r) {
        const T *g = dy.row<const T>(r), *out = y.row<const T>(r);
        const T* in = decltype(f)::kSavesInput ? z.row<const T>(r) : out;
        write_row(dz.row<T>(r), dz.cols, add,
                  [=](int64_t i) MTRANK_INLINE_LAMBDA { return g[i] * decltype(f)::derivative(in[i], out[i]); });
      }
    });
  });
}

}  // namespace

const Op activation{.name = "activation",
                    .summary = "y = f(x)",
                    .takes = "x",
                    .shapes = activation_shapes,
                    .backward = activation_backward,
                    .cpu_f32 = activation_cpu<float>,
                    .cpu_f64 = activation_cpu<double>,
                    .columns = ColumnMeaning::input};

const Op activation_gradient{.name = "activation_gradient",
                             .summary = "dz = dy * f'(z)",
                             .cpu_f32 = activation_gradient_cpu<float>,
                             .cpu_f64 = activation_gradient_cpu<double>};

}  // namespace ops
}  // namespace mtrank
