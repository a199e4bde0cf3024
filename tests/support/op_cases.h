#pragma once

#include "tests/support/conformance.h"

namespace mtrank::testing {

/// A case or more for every op of ops.def, and two for every loss of losses.def. A new op needs a case here, a new loss
/// none.
const std::vector<ConformanceCase>& op_cases();

}  // namespace mtrank::testing
