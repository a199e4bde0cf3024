#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "framework/data/transforms.h"
#include "framework/graph/graph.h"

namespace mtrank {

/// Neighbouring rows or columns of a weight that stand for one thing: a feature's "user_id", a number's
/// "price, log1p", the same behind a layer that leaves columns in their places, "user_id in cross", a layer's own
/// "deep/0/linear", a task's "for click".
struct LayoutBlock {
  std::string label;
  int64_t width = 1;

  bool operator==(const LayoutBlock&) const = default;
  std::string text() const { return width == 1 ? label : label + " [" + std::to_string(width) + "]"; }
};

/// What a dense weight multiplies, and what it makes of it. Weights of one shape but different layouts have nothing to
/// do with each other. A vector of weights (a bias) has columns alone.
struct WeightLayout {
  std::vector<LayoutBlock> rows, columns;

  bool operator==(const WeightLayout&) const = default;
};

/// By the weight's name. `graph`: of a model that scores.
std::map<std::string, WeightLayout> weight_layouts(const Graph& graph, const FeatureTransforms& transforms);

}  // namespace mtrank
