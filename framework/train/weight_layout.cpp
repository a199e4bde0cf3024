#include "framework/train/weight_layout.h"

#include <algorithm>

#include "framework/ops/ops.h"

namespace mtrank {
namespace {

using Blocks = std::vector<LayoutBlock>;

std::string step_name(DenseStep::Kind kind) {
  switch (kind) {
    case DenseStep::Kind::clip:
      return "clip";
    case DenseStep::Kind::log1p:
      return "log1p";
    case DenseStep::Kind::zscore:
      return "zscore";
  }
  return "";
}

class Layouts {
 public:
  Layouts(const Graph& graph, const FeatureTransforms& transforms)
      : graph_(graph), producer_(graph.values.size()), readers_(graph.values.size()) {
    for (size_t n = 0; n < graph.forward_nodes; ++n) {
      const OpNode& node = graph.nodes[n];
      for (const ValueId in : node.inputs)
        if (in != kNoValue) readers_[at(in)].push_back(&node);
      for (size_t o = 0; o < node.outputs.size(); ++o)
        if (node.outputs[o] != kNoValue) producer_[at(node.outputs[o])] = {&node, o};
    }
    for (const FeatureTransform& feature : transforms.features)
      if (feature.kind == FeatureKind::dense) dense_["dense:" + feature.name] = numbers(feature);
  }

  std::map<std::string, WeightLayout> all() const {
    std::map<std::string, WeightLayout> layouts;
    for (size_t n = 0; n < graph_.forward_nodes; ++n) {
      const OpNode& node = graph_.nodes[n];
      for (const ValueId in : node.inputs) {
        if (in == kNoValue || graph_.value(in).kind != ValueKind::param) continue;
        WeightLayout& layout = layouts[graph_.value(in).name];
        if (node.op == &ops::linear && in == node.inputs[1]) layout.rows = blocks(node.inputs.front());
        layout.columns = purpose(node.outputs.front());
      }
    }
    return layouts;
  }

 private:
  struct Producer {
    const OpNode* node = nullptr;
    size_t output = 0;
  };

  static size_t at(ValueId id) { return static_cast<size_t>(id); }

  static Blocks numbers(const FeatureTransform& feature) {
    std::string steps;
    for (const DenseStep& step : feature.steps) steps += ", " + step_name(step.kind);
    Blocks blocks;
    for (const std::string& column : feature.columns) blocks.push_back({column + steps, 1});
    return blocks;
  }

  Blocks own(ValueId id) const { return {{graph_.value(id).name, graph_.value(id).cols}}; }

  /// What lies in the columns of a value.
  Blocks blocks(ValueId id) const {
    const Value& value = graph_.value(id);
    if (const auto dense = dense_.find(value.name); dense != dense_.end()) return dense->second;
    if (const auto [node, output] = producer_[at(id)]; node) {
      if (node->op == &ops::lookup) {
        const std::string& ids = graph_.value(node->inputs[2 * output + 1]).name;
        return {{ids.substr(ids.find(':') + 1), value.cols}};
      }
      switch (node->op->columns) {
        case ColumnMeaning::own:
          return own(id);
        case ColumnMeaning::input:
          return blocks(node->inputs.front());
        case ColumnMeaning::operands:
          return inside(node->scope, blocks(node->inputs.front()));
      }
    }
    std::vector<ValueId> parts;  // of a value that is written piece by piece
    for (size_t v = 0; v < graph_.values.size(); ++v)
      if (graph_.values[v].base == id && producer_[v].node) parts.push_back(static_cast<ValueId>(v));
    if (parts.empty()) {  // gates say whose share of a mixture it is
      const OpNode* maker = value.base == kNoValue ? nullptr : producer_[at(value.base)].node;
      const bool share = maker && maker->op == &ops::mixture;
      return {{graph_.value(share ? value.base : id).name, value.cols}};
    }
    std::sort(parts.begin(), parts.end(),
              [&](ValueId a, ValueId b) { return graph_.value(a).column < graph_.value(b).column; });
    Blocks all;
    for (const ValueId part : parts)
      for (LayoutBlock& block : blocks(part)) all.push_back(std::move(block));
    return all;
  }

  /// The columns that a layer keeps in their places.
  static Blocks inside(const std::string& scope, Blocks blocks) {
    const std::string suffix = " in " + scope.substr(0, scope.find('/'));
    for (LayoutBlock& block : blocks)
      if (!block.label.ends_with(suffix)) block.label += suffix;
    return blocks;
  }

  /// What the columns of a product are for: those of the value that it is added to or multiplied with, the tasks that
  /// read what gates mix, else its own.
  Blocks purpose(ValueId id) const {
    for (const OpNode* node : readers_[at(id)]) {
      if (node->op->columns == ColumnMeaning::operands) return blocks(node->outputs.front());
      if (node->op->columns == ColumnMeaning::input) return purpose(node->outputs.front());
      if (node->op == &ops::mixture && node->inputs.front() == id) return tasks(node->outputs.front(), id);
    }
    return blocks(id);
  }

  /// One block a task: who reads the slices of `mixed`.
  Blocks tasks(ValueId mixed, ValueId gates) const {
    std::vector<std::pair<int64_t, std::string>> found;
    for (size_t v = 0; v < graph_.values.size(); ++v) {
      const Value& value = graph_.values[v];
      if ((v != at(mixed) && value.base != mixed) || readers_[v].empty()) continue;
      const std::string& scope = readers_[v].front()->scope;
      found.emplace_back(value.column, "for " + scope.substr(0, scope.find('/')));
    }
    std::sort(found.begin(), found.end());
    Blocks blocks;
    for (const auto& [column, task] : found)
      blocks.push_back({task, graph_.value(gates).cols / static_cast<int64_t>(found.size())});
    return blocks;
  }

  const Graph& graph_;
  std::vector<Producer> producer_;
  std::vector<std::vector<const OpNode*>> readers_;
  std::map<std::string, Blocks> dense_;
};

}  // namespace

std::map<std::string, WeightLayout> weight_layouts(const Graph& graph, const FeatureTransforms& transforms) {
  return Layouts(graph, transforms).all();
}

}  // namespace mtrank
