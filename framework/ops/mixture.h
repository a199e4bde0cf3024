#pragma once

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Gated sum of experts, for T gates at once (MMoE, Ma et al., KDD 2018).   y_t = Σ_e g_te x_e
/// g [B, T E]; x [B, E H]; y [B, T H].  dg_te = dy_t · x_e; dx_e = Σ_t g_te dy_t.  Saves nothing.
/// Throws ShapeError when E divides either width wrongly.  Deterministic: sums run in ascending e, t and 16 lanes of h.
ValueId mixture(Builder& builder, ValueId gates, ValueId experts, int64_t count);

}  // namespace mtrank
