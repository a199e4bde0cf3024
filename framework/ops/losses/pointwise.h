#pragma once

#include <span>

#include "framework/core/math.h"
#include "framework/core/parameter.h"

namespace mtrank {

constexpr int kMaxLossParameters = 4;

}  // namespace mtrank
