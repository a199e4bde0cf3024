#pragma once

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Element-wise part of a cross layer (DCN-V2, Wang et al., WWW 2021).   y = x0 * u + x
/// x0, u, x, y [B, H].  dx0 = dy * u; du = dy * x0; dx = dy; where x is x0, dx0 = dy * u + dy.  Saves nothing.
/// Throws ShapeError when the widths differ.  Deterministic.
ValueId cross(Builder& builder, ValueId x0, ValueId u, ValueId x);

}  // namespace mtrank
