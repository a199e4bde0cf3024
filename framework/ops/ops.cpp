#include "framework/ops/ops.h"

#include <algorithm>

namespace mtrank {
namespace {

constexpr const Op* kOps[] = {
#define MTRANK_OP(name) &ops::name,
#include "framework/ops/ops.def"
#undef MTRANK_OP
};

}  // namespace

std::span<const Op* const> all_ops() { return kOps; }

const Op* find_op(std::string_view name) {
  const auto* found = std::find_if(std::begin(kOps), std::end(kOps), [&](const Op* op) { return name == op->name; });
  return found == std::end(kOps) ? nullptr : *found;
}

}  // namespace mtrank
