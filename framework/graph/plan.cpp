#include "framework/graph/plan.h"

#include <algorithm>

#include "framework/core/error.h"

namespace mtrank {
namespace {

constexpr int64_t kAlign = 64;

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

bool in_arena(const Value& value) {
  return value.batch && (value.kind == ValueKind::activation || value.kind == ValueKind::gradient);
}

struct Lifetime {
  ValueId root;
  int64_t bytes;
  size_t first, last;
  int64_t offset = -1;
};

/// First and last node that touches each arena value, by root.
std::vector<Lifetime> lifetimes(const Plan& plan) {
  const Graph& graph = plan.graph;
  std::vector<int> index(graph.values.size(), -1);
  std::vector<Lifetime> lives;
  auto touch = [&](ValueId id, const NodeRange& nodes) {
    if (id == kNoValue) return;
    const ValueId root = graph.root(id);
    if (!in_arena(graph.value(root))) return;
    int& at = index[static_cast<size_t>(root)];
    if (at < 0) {
      at = static_cast<int>(lives.size());
      const int64_t bytes = round_up(
          plan.capacity * plan.place(root).ld * static_cast<int64_t>(dtype_size(plan.place(root).dtype)), kAlign);
      lives.push_back({root, bytes, nodes.begin, nodes.begin});
    }
    lives[static_cast<size_t>(at)].last = nodes.end - 1;
  };
  auto range = plan.together.begin();
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    while (range != plan.together.end() && range->end <= n) ++range;
    const bool in_range = range != plan.together.end() && range->begin <= n;
    const NodeRange nodes = in_range ? *range : NodeRange{n, n + 1};
    for (ValueId id : graph.nodes[n].inputs) touch(id, nodes);
    for (ValueId id : graph.nodes[n].outputs) touch(id, nodes);
  }
  const size_t after = graph.nodes.size();
  for (const NamedValue& output : graph.outputs) touch(output.value, {after, after + 1});
  return lives;
}

/// The lowest offset where `next` fits beside the placed values alive at the same time.
int64_t lowest_fit(const std::vector<const Lifetime*>& placed, const Lifetime& next) {
  std::vector<const Lifetime*> rivals;
  for (const Lifetime* other : placed)
    if (other->first <= next.last && next.first <= other->last) rivals.push_back(other);
  std::sort(rivals.begin(), rivals.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
  int64_t at = 0;
  for (const Lifetime* rival : rivals) {
    if (at + next.bytes <= rival->offset) break;
    at = std::max(at, rival->offset + rival->bytes);
  }
  return at;
}

/// Packs all arena values into one allocation: the largest first, each as low as its lifetime allows.
void place_arena(Plan& plan) {
  std::vector<Lifetime> lives = lifetimes(plan);
  std::vector<Lifetime*> order;
  for (Lifetime& life : lives) order.push_back(&life);
  std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->bytes > b->bytes; });
  std::vector<const Lifetime*> placed;
  for (Lifetime* life : order) {
    life->offset = lowest_fit(placed, *life);
    placed.push_back(life);
    plan.places[static_cast<size_t>(life->root)].at = life->offset;
    plan.lives[static_cast<size_t>(life->root)] = {static_cast<int>(life->first), static_cast<int>(life->last)};
    plan.arena_bytes = std::max(plan.arena_bytes, static_cast<size_t>(life->offset + life->bytes));
  }
}

int64_t append(std::vector<ValueId>& list, ValueId id) {
  list.push_back(id);
  return static_cast<int64_t>(list.size() - 1);
}

template <class T>
int64_t ordinal(const std::vector<T>& list, ValueId value) {
  for (size_t i = 0; i < list.size(); ++i)
    if (list[i].value == value) return static_cast<int64_t>(i);
  MTRANK_ASSERT(!"listed");
  return -1;
}

int64_t sparse_ordinal(const Graph& graph, ValueId gradient) {
  for (size_t i = 0; i < graph.sparse_gradients.size(); ++i)
    if (graph.sparse_gradients[i].gradient == gradient) return static_cast<int64_t>(i);
  MTRANK_ASSERT(!"listed");
  return -1;
}

Place place_root(Plan& plan, ValueId id) {
  const Graph& graph = plan.graph;
  const Value& value = graph.value(id);
  const DType dtype = stored_as(value, plan.dtype);
  const int64_t line = kAlign / static_cast<int64_t>(dtype_size(dtype));
  switch (value.kind) {
    case ValueKind::input:
      return {Region::input, append(plan.inputs, id), value.cols, 0, dtype};
    case ValueKind::ids:
      return {Region::ids, append(plan.ids, id), 1, 0, dtype};
    case ValueKind::scalar:
      return {Region::scalar, append(plan.scalars, id), 1, 0, dtype};
    case ValueKind::param:
      return {Region::param, ordinal(graph.params, id), value.cols, 0, dtype};
    case ValueKind::table:
      return {Region::table, ordinal(graph.tables, id), value.cols, 0, dtype};
    case ValueKind::sparse_gradient:
      return {Region::sparse_gradient, sparse_ordinal(graph, id), value.cols, 0, dtype};
    case ValueKind::loss:
      return {Region::loss, ordinal(graph.losses, id), 1, 0, dtype};
    case ValueKind::activation:
    case ValueKind::gradient:
      break;
  }
  // One column is stored densely; wider rows start on a cache line.
  return {Region::arena, 0, value.cols == 1 ? 1 : round_up(value.cols, line), 0, dtype};
}

void place_param_gradients(Plan& plan) {
  for (size_t p = 0; p < plan.graph.params.size(); ++p) {
    const ValueId param = plan.graph.params[p].value;
    const ValueId gradient = plan.graph.gradient_of[static_cast<size_t>(param)];
    if (gradient == kNoValue) continue;
    plan.places[static_cast<size_t>(gradient)] = {Region::param_gradient, static_cast<int64_t>(p),
                                                  plan.graph.value(param).cols, 0, plan.place(param).dtype};
  }
}

void place_views(Plan& plan) {
  for (size_t i = 0; i < plan.graph.values.size(); ++i) {
    const Value& value = plan.graph.values[i];
    if (value.base == kNoValue) continue;
    plan.places[i] = plan.place(value.base);
    plan.places[i].column = value.column;
  }
}

void plan_packing(Plan& plan) {
  const Graph& graph = plan.graph;
  plan.node_packed.assign(graph.nodes.size(), -1);
  if (plan.dtype != DType::f32) return;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Packing* packing = graph.nodes[n].op->packing;
    if (!packing) continue;
    const ValueId weights = graph.nodes[n].inputs[static_cast<size_t>(packing->input)];
    const int64_t groups = graph.nodes[n].attributes.integer("groups", 1);
    const auto known = std::find_if(plan.packed.begin(), plan.packed.end(), [&](const PackedWeight& p) {
      return p.value == weights && p.packing == packing && p.groups == groups;
    });
    plan.node_packed[n] = static_cast<int>(known - plan.packed.begin());
    if (known != plan.packed.end()) continue;
    const Value& value = graph.value(weights);
    const auto bytes =
        static_cast<size_t>(round_up(static_cast<int64_t>(packing->bytes(value.rows / groups, value.cols)), kAlign));
    plan.packed.push_back({weights, packing, groups, plan.packed_bytes, bytes});
    plan.packed_bytes += bytes * static_cast<size_t>(groups);
  }
}

bool has_single_writers(const Plan& plan) {
  std::vector<int> writers(plan.graph.params.size());
  for (const OpNode& node : plan.graph.nodes)
    for (ValueId out : node.outputs)
      if (out != kNoValue && plan.place(out).region == Region::param_gradient)
        if (++writers[static_cast<size_t>(plan.place(out).at)] > 1) return false;
  return true;
}

}  // namespace

DType stored_as(const Value& value, DType plan) {
  if (plan != DType::bf16) return plan;
  const bool wide = value.batch && value.cols > 1 && value.kind != ValueKind::ids && !value.whole;
  return wide ? DType::bf16 : DType::f32;
}

Plan make_plan(Graph graph, int64_t capacity, DType dtype, std::vector<NodeRange> together) {
  Plan plan;
  plan.graph = std::move(graph);
  plan.together = std::move(together);
  plan.dtype = dtype;
  plan.capacity = capacity;
  plan.places.resize(plan.graph.values.size());
  plan.lives.resize(plan.graph.values.size());
  for (size_t i = 0; i < plan.graph.values.size(); ++i)
    if (plan.graph.values[i].base == kNoValue) plan.places[i] = place_root(plan, static_cast<ValueId>(i));
  place_param_gradients(plan);
  place_arena(plan);
  place_views(plan);
  plan_packing(plan);
  plan.single_writers = has_single_writers(plan);
  return plan;
}

}  // namespace mtrank
