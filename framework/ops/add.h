#pragma once

#include <string>
#include <vector>

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Sum of any number of values.   y = Σ_i x_i
/// x_i, y [B, H].  dx_i = dy.  Saves nothing.
/// Throws ShapeError when the widths differ.  Deterministic: terms are added in their order.
ValueId add(Builder& builder, const std::vector<ValueId>& terms, const std::string& name = "");

}  // namespace mtrank
