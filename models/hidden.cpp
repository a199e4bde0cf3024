#include "models/hidden.h"

#include "framework/ops/activation.h"
#include "framework/ops/dropout.h"
#include "framework/ops/layer_norm.h"
#include "framework/ops/linear.h"

namespace mtrank {

void HiddenConfig::fields(Fields& f) {
  f("activation", activation, "after every hidden layer").one_of(activation_names());
  f("dropout", dropout, "share of activations dropped in training").min(0).below(1);
  f("layer_norm", layer_norm, "normalise every hidden layer before its activation");
}

ValueId hidden_layer(Builder& builder, const std::string& name, ValueId x, int64_t width, const HiddenConfig& config) {
  return expert_layer(builder, name, x, width, 1, false, config);
}

ValueId expert_layer(Builder& builder, const std::string& name, ValueId x, int64_t width, int64_t experts, bool grouped,
                     const HiddenConfig& config) {
  const std::string fused = config.layer_norm ? "none" : config.activation;
  ValueId y =
      grouped ? dense(builder, name, x, width, fused, experts) : dense(builder, name, x, experts * width, fused);
  Builder::Scope scope(builder, name);
  if (config.layer_norm) y = activate(builder, layer_norm(builder, "norm", y, experts), config.activation);
  return dropout(builder, y, config.dropout);
}

}  // namespace mtrank
