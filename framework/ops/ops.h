#pragma once

#include "framework/graph/op.h"

namespace mtrank::ops {

#define MTRANK_OP(name) extern const Op name;
#include "framework/ops/ops.def"
#undef MTRANK_OP

}  // namespace mtrank::ops
