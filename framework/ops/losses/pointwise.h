#pragma once

#include <span>

#include "framework/core/math.h"

namespace mtrank {

/// A number a loss takes from the config, e.g. `loss: {type: bce, pos_weight: 3}`.
struct LossParameter {
  const char* name;
  double otherwise;
  double min, max;
  const char* help;
};

constexpr int kMaxLossParameters = 4;

}  // namespace mtrank
