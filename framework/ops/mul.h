#pragma once

#include <string>
#include <vector>

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Element-wise product of any number of values; of probabilities, the probability that all of them happen.
///   y = Π_i x_i
/// x_i, y [B, H].  dx_i = dy Π_{j ≠ i} x_j.  Saves nothing.
/// Throws ShapeError when the widths differ.  Deterministic: factors are multiplied in their order.
ValueId mul(Builder& builder, const std::vector<ValueId>& factors, const std::string& name = "");

}  // namespace mtrank
