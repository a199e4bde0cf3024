#include "framework/graph/graph.h"

#include <algorithm>

#include "framework/core/error.h"
#include "framework/graph/op.h"

namespace mtrank {

std::string_view value_kind_name(ValueKind kind) {
  constexpr std::string_view names[] = {"input",      "ids",      "scalar",          "param", "table",
                                        "activation", "gradient", "sparse_gradient", "loss"};
  return names[static_cast<int>(kind)];
}

ValueId Graph::find(std::string_view name) const {
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i].name == name) return static_cast<ValueId>(i);
  return kNoValue;
}

namespace {

/// Which nodes of the forward part the outputs need. A node is needed when it writes into memory that is.
std::vector<uint8_t> needed_nodes(const Graph& graph) {
  std::vector<uint8_t> live(graph.values.size()), keep(graph.nodes.size());
  for (const NamedValue& output : graph.outputs) live[static_cast<size_t>(graph.root(output.value))] = 1;
  for (size_t n = graph.forward_nodes; n-- > 0;) {
    const OpNode& node = graph.nodes[n];
    for (ValueId out : node.outputs)
      if (out != kNoValue && live[static_cast<size_t>(graph.root(out))]) keep[n] = 1;
    if (!keep[n]) continue;
    for (ValueId in : node.inputs)
      if (in != kNoValue) live[static_cast<size_t>(graph.root(in))] = 1;
  }
  return keep;
}

/// Moves values of `from` into `to` in order, dropping those that `used` does not mark.
class Renumbering {
 public:
  Renumbering(const Graph& from, const std::vector<uint8_t>& used, Graph& to) : map_(from.values.size(), kNoValue) {
    for (size_t i = 0; i < from.values.size(); ++i) {
      if (!used[i]) continue;
      map_[i] = static_cast<ValueId>(to.values.size());
      to.values.push_back(from.values[i]);
    }
    for (Value& value : to.values)
      if (value.base != kNoValue) value.base = (*this)(value.base);
  }
  ValueId operator()(ValueId old) const { return old == kNoValue ? kNoValue : map_[static_cast<size_t>(old)]; }
  void apply(std::vector<ValueId>& ids) const {
    for (ValueId& id : ids) id = (*this)(id);
  }

 private:
  std::vector<ValueId> map_;
};

}  // namespace

Graph forward_only(const Graph& graph) {
  const std::vector<uint8_t> keep = needed_nodes(graph);
  std::vector<uint8_t> used(graph.values.size());
  auto use = [&](ValueId id) {
    if (id == kNoValue) return;
    used[static_cast<size_t>(id)] = 1;
    used[static_cast<size_t>(graph.root(id))] = 1;
  };
  for (size_t n = 0; n < graph.forward_nodes; ++n) {
    if (!keep[n]) continue;
    for (ValueId id : graph.nodes[n].inputs) use(id);
    for (ValueId id : graph.nodes[n].outputs) use(id);
  }
  for (const NamedValue& output : graph.outputs) use(output.value);

  Graph result;
  const Renumbering renumber(graph, used, result);
  for (size_t n = 0; n < graph.forward_nodes; ++n) {
    if (!keep[n]) continue;
    result.nodes.push_back(graph.nodes[n]);
    renumber.apply(result.nodes.back().inputs);
    renumber.apply(result.nodes.back().outputs);
  }
  result.forward_nodes = result.nodes.size();
  result.outputs = graph.outputs;
  for (NamedValue& output : result.outputs) output.value = renumber(output.value);
  for (ParamWeight param : graph.params)
    if ((param.value = renumber(param.value)) != kNoValue) result.params.push_back(param);
  for (TableWeight table : graph.tables)
    if ((table.value = renumber(table.value)) != kNoValue) result.tables.push_back(table);
  result.gradient_of.assign(result.values.size(), kNoValue);
  return result;
}

namespace {

std::string attribute_text(const Attribute& attribute) {
  if (const auto* i = std::get_if<int64_t>(&attribute)) return std::to_string(*i);
  if (const auto* d = std::get_if<double>(&attribute)) return std::to_string(*d);
  if (const auto* s = std::get_if<std::string>(&attribute)) return *s;
  std::string text = "[";
  for (int64_t i : std::get<std::vector<int64_t>>(attribute)) text += (text.size() > 1 ? "," : "") + std::to_string(i);
  return text + "]";
}

}  // namespace

std::string value_text(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  std::string text = std::string(value_kind_name(value.kind)) + " " + value.name + " [" +
                     (value.batch ? "B" : std::to_string(value.rows)) + ", " + std::to_string(value.cols) + "]";
  if (value.base != kNoValue)
    text += " = " + graph.value(value.base).name + "[:, " + std::to_string(value.column) + ":" +
            std::to_string(value.column + value.cols) + "]";
  return text;
}

std::string node_text(const Graph& graph, const OpNode& node) {
  auto name = [&](ValueId id) { return id == kNoValue ? std::string("-") : graph.value(id).name; };
  std::string text;
  for (size_t i = 0; i < node.outputs.size(); ++i)
    text += (i ? ", " : "") + name(node.outputs[i]) + (node.accumulate[i] ? " +=" : " =");
  text += " " + std::string(node.op->name) + "(";
  for (size_t i = 0; i < node.inputs.size(); ++i) text += (i ? ", " : "") + name(node.inputs[i]);
  for (const auto& [key, value] : node.attributes.list()) text += "; " + key + "=" + attribute_text(value);
  return text + ")";
}

std::string to_text(const Graph& graph) {
  std::string text = "values\n";
  for (size_t i = 0; i < graph.values.size(); ++i) text += "  " + value_text(graph, static_cast<ValueId>(i)) + "\n";
  text += "nodes\n";
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (n == graph.forward_nodes) text += "gradient\n";
    text += "  " + node_text(graph, graph.nodes[n]) + "\n";
  }
  return text;
}

}  // namespace mtrank
