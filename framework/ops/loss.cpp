#include "framework/ops/loss.h"

#include "framework/config/choices.h"
#include "framework/core/error.h"
#include "framework/core/reduce.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/losses/losses.h"

namespace mtrank {
namespace {

constexpr LossInfo kLosses[] = {
#define MTRANK_LOSS(row, Struct) {Struct::name, Struct::summary, Struct::binary, Struct::parameters},
#include "framework/ops/losses/losses.def"
#undef MTRANK_LOSS
};

}  // namespace

std::span<const LossInfo> all_losses() { return kLosses; }

const LossInfo* find_loss(std::string_view name) {
  for (const LossInfo& info : kLosses)
    if (name == info.name) return &info;
  return nullptr;
}

const std::vector<Choice>& loss_choices() {
  static const std::vector<Choice> choices = [] {
    std::vector<Choice> list;
    for (const LossInfo& info : kLosses)
      list.push_back({info.name, {info.parameters.begin(), info.parameters.end()}, info.binary});
    return list;
  }();
  return choices;
}

void loss(Builder& builder, const std::string& type, std::span<const double> parameters, const std::string& task,
          ValueId logit, ValueId label, ValueId weight, ValueId scale) {
  Attributes attributes{{"type", type}};
  for (size_t i = 0; i < parameters.size(); ++i) attributes.set(loss_parameter_name(i), parameters[i]);
  const ValueId sum = builder.add_value({.name = "loss", .kind = ValueKind::loss, .batch = false, .cols = 1});
  const ValueId dz = builder.add_value({.name = "dz", .cols = 1});
  builder.graph().losses.push_back({task, sum});
  builder.emit(ops::loss, {logit, label, weight, scale}, {sum, dz}, {0, 0}, attributes);
}

namespace ops {
namespace {

template <class Loss, class T>
void run_loss(const OpCall& call) {
  const View z = call.in[0], y = call.in[1], w = call.in[2], dz = call.out[1];
  const double scale = *call.in[3].as<const double>();
  const auto p = loss_parameters<Loss, T>(call.node.attributes);
  const T* params = p.data();
  double* sum = call.out[0].as<double>();
  const int64_t rows = call.rows;
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    const T c = static_cast<T>(scale);
    *sum = scale * lanes::fold<double>(rows, [=](double s, int64_t r) MTRANK_INLINE_LAMBDA {
             const T weight = *w.row<const T>(r);
             const T l = Loss::value(*z.row<const T>(r), weight > T(0) ? *y.row<const T>(r) : T(0), params);
             return weight > T(0) ? s + static_cast<double>(weight * l) : s;
           });
    for (int64_t r = 0; r < rows; ++r) {
      const T weight = *w.row<const T>(r);
      const T d = Loss::derivative(*z.row<const T>(r), weight > T(0) ? *y.row<const T>(r) : T(0), params);
      *dz.row<T>(r) = weight > T(0) ? c * weight * d : T(0);
    }
  });
}

template <class T>
void loss_cpu(const OpCall& call) {
  with_loss(call.node.attributes.text("type"), [&](auto loss) { run_loss<decltype(loss), T>(call); });
}

void loss_backward(GradBuilder& grads, const OpNode& node) { grads.pass(node.outputs[1], node.inputs[0]); }

}  // namespace

const Op loss{.name = "loss",
              .summary = "L = c * sum_r w_r l(z_r, y_r); dz = c * w * l'(z, y)",
              .backward = loss_backward,
              .cpu_f32 = loss_cpu<float>,
              .cpu_f64 = loss_cpu<double>};

}  // namespace ops
}  // namespace mtrank
