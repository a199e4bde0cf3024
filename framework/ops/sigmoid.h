#pragma once

#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// y = 1 / (1 + exp(-x)): the probability of a logit. x, y [B, C].  Forward only.  Deterministic.
ValueId sigmoid(Builder& builder, ValueId x, const std::string& name = "");

}  // namespace mtrank
