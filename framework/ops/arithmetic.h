#pragma once

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Arithmetic of outputs, for expressions over predictions: z = x op y, element by element. x, y, z [B, C].
/// `op` is one of + - * /.  Forward only.  Deterministic.
ValueId arithmetic(Builder& builder, char op, ValueId x, ValueId y);

/// y = scale x + shift. x, y [B, C].  Forward only.  Deterministic.
ValueId affine(Builder& builder, ValueId x, double scale, double shift);

}  // namespace mtrank
