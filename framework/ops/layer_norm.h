#pragma once

#include <string>

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Layer normalisation (Ba et al., 2016), of G groups side by side.   y = γ (x - μ) / sqrt(σ² + ε) + β
/// x, y [B, G H]; γ, β [1, G H]; μ and σ² are the mean and variance of each group's H columns.
/// With x̂ = (x - μ) / sqrt(σ² + ε):  dβ = Σ_B dy; dγ = Σ_B dy x̂;
/// dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)) / sqrt(σ² + ε), dx̂ = γ dy.  Saves μ and 1 / sqrt(σ² + ε), [B, G] each.
/// Throws ShapeError when γ or β does not fit.  Deterministic: sums over H run in 16 lanes, those over B in row order.
ValueId layer_norm(Builder& builder, ValueId x, ValueId gamma, ValueId beta, int64_t groups = 1, double epsilon = 1e-5);

/// With weights of its own: "<name>/scale", ones, and "<name>/bias", zeros.
ValueId layer_norm(Builder& builder, const std::string& name, ValueId x, int64_t groups = 1);

}  // namespace mtrank
