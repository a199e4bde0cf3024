#pragma once

#include "framework/config/config.h"
#include "framework/embedding/optimizer.h"

namespace mtrank {

/// The optimisers as a config asks for them. Fields that the chosen type does not take are left out.
OptimizerSettings optimizer_settings(const DenseOptimizer& config);
OptimizerSettings optimizer_settings(const SparseOptimizer& config);

}  // namespace mtrank
