#pragma once

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Softmax over groups of E columns.   y_ge = exp(x_ge - max_e x_ge) / Σ_e exp(x_ge - max_e x_ge)
/// x, y [B, G E].  dx_ge = y_ge (dy_ge - Σ_e dy_ge y_ge).  Saves y.
/// Throws ShapeError when the columns are not a multiple of E.  Deterministic: sums run in ascending e.
ValueId softmax(Builder& builder, ValueId x, int64_t size);

}  // namespace mtrank
