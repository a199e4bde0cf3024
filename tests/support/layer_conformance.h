#pragma once

#include <string>
#include <vector>

#include "models/layer.h"
#include "tests/support/conformance.h"

namespace mtrank::testing {

/// A layer as one of its examples sets it, on inputs of these widths, with two tasks. Without dropout that key is 0.
/// Throws std::runtime_error with the report when the settings are refused.
ConformanceCase layer_case(const LayerInfo& layer, const std::string& settings, const std::vector<int64_t>& widths,
                           bool dropout = true);

/// Everything a layer must pass, from its registry entry alone: gradients, precision, bits, accumulation, scoring as in
/// training, weights through a file, settings that read back, for every example, on one input and on two.
std::vector<std::string> check_layer(const LayerInfo& layer);

}  // namespace mtrank::testing
