#include <fmt/core.h>

#include "framework/graph/plan.h"

namespace mtrank {
namespace {

std::string_view region_name(Region region) {
  constexpr std::string_view names[] = {"nowhere", "arena",  "param", "param_gradient",  "input",
                                        "ids",     "scalar", "table", "sparse_gradient", "loss"};
  return names[static_cast<int>(region)];
}

std::string_view long_name(DType dtype) {
  constexpr std::string_view names[] = {"float32", "float64", "bfloat16"};
  return names[static_cast<int>(dtype)];
}

/// Where a value is, and for how long: "arena 1024 + 512, ld 16, nodes 3 to 9".
std::string place_text(const Plan& plan, ValueId id) {
  const Place& place = plan.place(id);
  const Life& life = plan.lives[static_cast<size_t>(id)];
  if (place.region == Region::arena && life.first < 0 && plan.graph.value(id).base == kNoValue) return "unused";
  std::string text = fmt::format("{} {}", region_name(place.region), place.at);
  if (life.first >= 0)
    text += fmt::format(" + {}", plan.capacity * place.ld * static_cast<int64_t>(dtype_size(place.dtype)));
  text += fmt::format(", ld {}", place.ld);
  if (place.column != 0) text += fmt::format(", column {}", place.column);
  if (life.first >= 0) text += fmt::format(", nodes {} to {}", life.first, life.last);
  return text;
}

std::string node_line(const Plan& plan, size_t n) {
  const OpNode& node = plan.graph.nodes[n];
  const int packed = plan.node_packed[n];
  return fmt::format("  {} {}: {}{}\n", n, node.scope, node_text(plan.graph, node),
                     packed < 0 ? "" : fmt::format(" with packed {}", packed));
}

std::string named(const Graph& graph, const char* title, const std::vector<NamedValue>& list) {
  std::string text;
  for (const NamedValue& one : list) text += fmt::format("{} {} = {}\n", title, one.name, graph.value(one.value).name);
  return text;
}

}  // namespace

std::string to_text(const Plan& plan) {
  const Graph& graph = plan.graph;
  std::string text = fmt::format("{} rows of {}: arena {} bytes, packed weights {} bytes, {} a dense gradient\n",
                                 plan.capacity, long_name(plan.dtype), plan.arena_bytes, plan.packed_bytes,
                                 plan.single_writers ? "one writer" : "several writers");
  text += "values\n";
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const auto id = static_cast<ValueId>(i);
    text += fmt::format("  {} @ {}\n", value_text(graph, id), place_text(plan, id));
  }
  text += "nodes\n";
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (n == graph.forward_nodes) text += "gradient\n";
    text += node_line(plan, n);
  }
  if (!plan.packed.empty()) text += "packed weights\n";
  for (size_t i = 0; i < plan.packed.size(); ++i) {
    const PackedWeight& packed = plan.packed[i];
    text += fmt::format("  {} {}: {} of {} bytes at {}\n", i, graph.value(packed.value).name, packed.groups,
                        packed.group_bytes, packed.offset);
  }
  return text + named(graph, "output", graph.outputs) + named(graph, "loss", graph.losses);
}

}  // namespace mtrank
