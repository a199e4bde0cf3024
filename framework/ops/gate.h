#pragma once

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Each part of a value scaled by a number of its own.   y_e = g_e x_e
/// g [B, E]; x, y [B, E R].  dg_e = dy_e · x_e; dx_e = g_e dy_e.  Saves nothing.
/// Throws ShapeError when E does not divide the columns of x.  Deterministic: dot products run in 16 lanes.
ValueId gate(Builder& builder, ValueId gates, ValueId x);

}  // namespace mtrank
