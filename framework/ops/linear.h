#pragma once

#include <string>

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Fused linear layer, G of them side by side.   y_g = f(x_g W_g + b_g), g < G
/// x [B, G K]; W [G K, N]; b [1, G N] or none; y [B, G N]; f one of activation.h.
/// dz = dy * f'(z); dW_g = x_gᵀ dz_g; db = Σ_B dz; dx_g = dz_g W_gᵀ.  Saves z where f' needs it.
/// Throws ShapeError when the columns of x are not those of W.  Deterministic: every output is one chain of fused
/// multiply-adds in ascending k, so it depends neither on B nor on threads nor on the CPU.
ValueId linear(Builder& builder, ValueId x, ValueId weight, ValueId bias, const std::string& activation = "none",
               int64_t groups = 1);

/// A linear layer with weights of its own: "<name>/weight" and "<name>/bias", both uniform in ±1/sqrt(K).
ValueId dense(Builder& builder, const std::string& name, ValueId x, int64_t width,
              const std::string& activation = "none", int64_t groups = 1, bool bias = true);

}  // namespace mtrank
