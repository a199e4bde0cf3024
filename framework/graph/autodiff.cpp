#include "framework/graph/autodiff.h"

#include <algorithm>

#include "framework/core/error.h"

namespace mtrank {

void differentiate(Graph& graph) {
  graph.forward_nodes = graph.nodes.size();
  GradBuilder grads(graph);
  for (size_t n = graph.forward_nodes; n-- > 0;) {
    const OpNode node = graph.nodes[n];
    if (!node.op->backward) continue;
    grads.begin(node);
    node.op->backward(grads, node);
  }
}

GradBuilder::GradBuilder(Graph& graph) : builder_(graph, true), wanted_(graph.values.size()) {
  std::vector<uint8_t> produced(graph.values.size());
  for (size_t i = 0; i < graph.values.size(); ++i)
    wanted_[i] = graph.values[i].kind == ValueKind::param || graph.values[i].kind == ValueKind::table;
  for (const OpNode& node : graph.nodes) {
    bool any = false;
    for (ValueId in : node.inputs) {
      if (in == kNoValue) continue;
      const auto i = static_cast<size_t>(in);
      if (!produced[i] && wanted_[static_cast<size_t>(graph.root(in))]) wanted_[i] = 1;  // a slice
      any = any || wanted_[i];
    }
    for (ValueId out : node.outputs) {
      if (out == kNoValue) continue;
      produced[static_cast<size_t>(out)] = 1;
      if (!any || !node.op->backward) continue;
      wanted_[static_cast<size_t>(out)] = 1;
      wanted_[static_cast<size_t>(graph.root(out))] = 1;
    }
  }
}

GradBuilder::Range GradBuilder::range_of(ValueId v) const {
  const Value& value = const_cast<GradBuilder*>(this)->builder_.graph().value(v);
  return {value.column, value.column + value.cols};
}

ValueId GradBuilder::root_gradient(ValueId root) {
  Graph& graph = this->graph();
  ValueId& known = graph.gradient_of[static_cast<size_t>(root)];
  if (known != kNoValue) return known;
  Value gradient = graph.value(root);
  gradient.name = "d(" + gradient.name + ")";
  gradient.kind = ValueKind::gradient;
  graph.values.push_back(gradient);
  graph.gradient_of.push_back(kNoValue);
  const auto id = static_cast<ValueId>(graph.values.size() - 1);
  graph.gradient_of[static_cast<size_t>(root)] = id;
  return id;
}

ValueId GradBuilder::gradient_view(ValueId v) {
  const ValueId root = graph().root(v);
  const ValueId whole = root_gradient(root);
  if (root == v) return whole;
  ValueId known = graph().gradient_of[static_cast<size_t>(v)];
  if (known == kNoValue) {
    const auto [begin, end] = range_of(v);
    known = builder_.slice(whole, begin, end - begin);
    graph().gradient_of[static_cast<size_t>(v)] = known;
  }
  return known;
}

std::vector<GradBuilder::Range> GradBuilder::uncovered(ValueId root, Range range) const {
  std::vector<Range> holes;
  int64_t at = range.first;
  const auto found = covered_.find(root);
  if (found != covered_.end()) {
    for (const Range& done : found->second) {
      if (done.second <= at || done.first >= range.second) continue;
      if (done.first > at) holes.emplace_back(at, done.first);
      at = std::max(at, done.second);
    }
  }
  if (at < range.second) holes.emplace_back(at, range.second);
  return holes;
}

void GradBuilder::cover(ValueId root, Range range) {
  std::vector<Range>& done = covered_[root];
  done.push_back(range);
  std::sort(done.begin(), done.end());
  std::vector<Range> merged;
  for (const Range& next : done) {
    if (!merged.empty() && next.first <= merged.back().second)
      merged.back().second = std::max(merged.back().second, next.second);
    else
      merged.push_back(next);
  }
  done = std::move(merged);
}

void GradBuilder::fill_zero(ValueId root, const std::vector<Range>& holes) {
  const ValueId whole = root_gradient(root);
  for (const Range& hole : holes) {
    builder_.emit(*find_op("zero"), {}, {builder_.slice(whole, hole.first, hole.second - hole.first)}, {0});
    cover(root, hole);
  }
}

ValueId GradBuilder::gradient(ValueId v) {
  const ValueId root = graph().root(v);
  const Range range = range_of(v);
  const std::vector<Range> holes = uncovered(root, range);
  if (holes.size() == 1 && holes.front() == range) return kNoValue;
  fill_zero(root, holes);
  return gradient_view(v);
}

std::pair<ValueId, bool> GradBuilder::target(ValueId v) {
  const ValueId root = graph().root(v);
  const Range range = range_of(v);
  const std::vector<Range> holes = uncovered(root, range);
  const bool first = holes.size() == 1 && holes.front() == range;
  if (!first) fill_zero(root, holes);
  const ValueId id = gradient_view(v);
  cover(root, range);
  return {id, !first};
}

ValueId GradBuilder::temporary(ValueId like, const std::string& name) {
  const Value& value = graph().value(like);
  return builder_.add_value(
      {.name = name, .kind = ValueKind::gradient, .batch = value.batch, .rows = value.rows, .cols = value.cols});
}

void GradBuilder::emit(const Op& op, std::vector<ValueId> inputs, const std::vector<ValueId>& targets,
                       Attributes attributes) {
  std::vector<ValueId> outputs;
  std::vector<uint8_t> accumulate;
  bool any = false;
  for (ValueId v : targets) {
    const auto [id, add] = wants(v) ? target(v) : std::pair{kNoValue, false};
    outputs.push_back(id);
    accumulate.push_back(add);
    any = any || id != kNoValue;
  }
  if (any) builder_.emit(op, std::move(inputs), std::move(outputs), std::move(accumulate), std::move(attributes));
}

void GradBuilder::emit_into(const Op& op, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
                            Attributes attributes) {
  std::vector<uint8_t> accumulate(outputs.size(), 0);
  builder_.emit(op, std::move(inputs), std::move(outputs), std::move(accumulate), std::move(attributes));
}

void GradBuilder::begin(const OpNode& node) { builder_.set_scope(node.scope); }

void GradBuilder::pass(ValueId g, ValueId v) {
  if (!wants(v)) return;
  Graph& graph = this->graph();
  ValueId& known = graph.gradient_of[static_cast<size_t>(v)];
  if (known == kNoValue && graph.root(v) == v && graph.root(g) == g) {
    known = g;
    cover(v, range_of(v));
    return;
  }
  emit(*find_op("copy"), {g}, {v});
}

}  // namespace mtrank
