#pragma once

#include <cstdint>
#include <span>

#include "framework/graph/plan.h"

namespace mtrank {

/// What a node does for some rows of the batch: arithmetic, and bytes read and written when nothing stays in a cache.
struct NodeCost {
  double flops = 0;
  double bytes = 0;
  double gathered = 0;  ///< of the bytes: rows of tables
  NodeCost& operator+=(const NodeCost& other) {
    flops += other.flops;
    bytes += other.bytes;
    gathered += other.gathered;
    return *this;
  }
};

/// `ids_per_row`: by value, how many ids a row of that ids value has on average; 1 where it is empty. float32.
NodeCost node_cost(const Graph& graph, const OpNode& node, int64_t rows, std::span<const double> ids_per_row = {});
/// With values of the size that the plan stores them in; those `in_place` are not moved.
NodeCost node_cost(const Plan& plan, const OpNode& node, int64_t rows, std::span<const double> ids_per_row = {},
                   std::span<const ValueId> in_place = {});

}  // namespace mtrank
