#pragma once

#include <string>

#include "framework/config/fields.h"
#include "framework/graph/builder.h"

namespace mtrank {

/// The widest a hidden layer may be, and the most experts a layer may have. What is still too much together is refused
/// with its size, by build_model or by the plan of memory.
constexpr int64_t kMaxWidth = 65536, kMaxExperts = 1024;

/// What the hidden layers of mlp and mmoe have in common; its fields join the layer's.
struct HiddenConfig {
  std::string activation = "relu";
  double dropout = 0;
  bool layer_norm = false;
  void fields(Fields& f);
};

/// One hidden layer.   y = dropout(f(norm(x W + b))), norm and dropout where asked for.
/// x [B, K]; y [B, width].  Weights: "<name>/weight", "<name>/bias", "<name>/norm/scale", "<name>/norm/bias".
ValueId hidden_layer(Builder& builder, const std::string& name, ValueId x, int64_t width, const HiddenConfig& config);

/// The same for `experts` of them side by side: all read x [B, K], or with `grouped` each its own part of it.
/// y [B, experts width].
ValueId expert_layer(Builder& builder, const std::string& name, ValueId x, int64_t width, int64_t experts, bool grouped,
                     const HiddenConfig& config);

}  // namespace mtrank
