#pragma once

#include <span>

#include "cuda/call.h"

namespace mtrank::cuda {

/// Loss nodes, none of which needs what another writes, in one launch and one that finishes the sums. The same bits as
/// one by one.
void launch_losses(std::span<const Call> calls);

}  // namespace mtrank::cuda
