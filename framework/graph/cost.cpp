#include "framework/graph/cost.h"

#include <algorithm>

namespace mtrank {
namespace {

constexpr double kFloat = 4;

double elements(const Value& value, int64_t rows) {
  return static_cast<double>(value.batch ? rows : value.rows) * static_cast<double>(value.cols);
}

double ids_of(ValueId ids, int64_t rows, std::span<const double> ids_per_row) {
  return static_cast<double>(rows) * (ids_per_row.empty() ? 1 : ids_per_row[static_cast<size_t>(ids)]);
}

/// `size_of`: bytes of an element of a value.
template <class SizeOf>
NodeCost cost_of(const Graph& graph, const OpNode& node, int64_t rows, std::span<const double> ids_per_row,
                 const SizeOf& size_of) {
  NodeCost cost;
  double written = 0, gathered = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNoValue) continue;
    const Value& value = graph.value(node.inputs[i]);
    if (value.kind == ValueKind::ids) {
      cost.bytes += kFloat * ids_of(node.inputs[i], rows, ids_per_row);
    } else if (value.kind == ValueKind::table) {  // its ids follow it
      gathered += ids_of(node.inputs[i + 1], rows, ids_per_row) * static_cast<double>(value.cols);
    } else {
      cost.bytes += size_of(node.inputs[i]) * elements(value, rows);
    }
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNoValue) continue;
    const double n = elements(graph.value(node.outputs[i]), rows);
    written += n;
    cost.bytes += size_of(node.outputs[i]) * n * (node.accumulate[i] ? 2 : 1);
  }
  cost.gathered = kFloat * gathered;
  cost.bytes += cost.gathered;
  cost.flops = node.op->flops ? node.op->flops(graph, node, rows) : written + gathered;
  return cost;
}

}  // namespace

NodeCost node_cost(const Graph& graph, const OpNode& node, int64_t rows, std::span<const double> ids_per_row) {
  return cost_of(graph, node, rows, ids_per_row, [](ValueId) { return kFloat; });
}

NodeCost node_cost(const Plan& plan, const OpNode& node, int64_t rows, std::span<const double> ids_per_row,
                   std::span<const ValueId> in_place) {
  return cost_of(plan.graph, node, rows, ids_per_row, [&](ValueId id) {
    const bool moves = std::find(in_place.begin(), in_place.end(), id) == in_place.end();
    return moves ? static_cast<double>(dtype_size(plan.place(id).dtype)) : 0.0;
  });
}

}  // namespace mtrank
