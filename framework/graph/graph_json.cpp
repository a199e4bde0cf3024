#include "framework/graph/graph_json.h"

#include "framework/core/error.h"
#include "framework/core/json.h"
#include "framework/graph/op.h"

namespace mtrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr ValueKind forward_kinds[] = {ValueKind::input, ValueKind::ids, ValueKind::param, ValueKind::table,
                                       ValueKind::activation};
constexpr int64_t max_extent = int64_t{1} << 40;

Json value_json(const Value& value) {
  Json json = {{"name", value.name}, {"kind", value_kind_name(value.kind)}};
  if (!value.batch) json["rows"] = value.rows;
  json["cols"] = value.cols;
  if (value.base != kNoValue) json["base"] = value.base, json["column"] = value.column;
  return json;
}

Json node_json(const OpNode& node) {
  Json json = {{"op", node.op->name}, {"scope", node.scope}, {"in", node.inputs}, {"out", node.outputs}};
  for (const uint8_t adds : node.accumulate) MTRANK_ASSERT(adds == 0);
  for (const auto& [name, attribute] : node.attributes.list()) {
    std::visit([&, &key = name](const auto& value) { json["attributes"][key] = value; }, attribute);
  }
  return json;
}

/// One object of the text, read with checks that name it.
class JsonObject {
 public:
  JsonObject(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) fail("is no object");
  }
  [[noreturn]] void fail(const std::string& problem) const { throw FileError("graph: " + where_ + " " + problem); }
  void need(bool holds, const std::string& problem) const {
    if (!holds) fail(problem);
  }

  bool has(const char* key) const { return json_.contains(key); }
  const Json& at(const char* key) const {
    need(has(key), std::string("has no '") + key + "'");
    return json_.at(key);
  }
  const Json& list(const char* key) const {
    need(at(key).is_array(), std::string("has a '") + key + "' that is no list");
    return at(key);
  }
  std::string text(const char* key) const {
    need(at(key).is_string(), std::string("has a '") + key + "' that is no text");
    return at(key);
  }
  int64_t integer(const char* key, int64_t low, int64_t high) const { return integer(at(key), key, low, high); }
  int64_t integer(const Json& json, const char* key, int64_t low, int64_t high) const {
    const bool fits = json.is_number_integer() && json >= low && json <= high;
    need(fits, std::string("has a '") + key + "' that is no number from " + std::to_string(low) + " to " +
                   std::to_string(high));
    return json;
  }
  std::vector<int64_t> integers(const char* key, int64_t low, int64_t high) const {
    std::vector<int64_t> numbers;
    for (const Json& item : list(key)) numbers.push_back(integer(item, key, low, high));
    return numbers;
  }

 private:
  const Json& json_;
  std::string where_;
};

ValueKind parse_kind(const JsonObject& from) {
  const std::string name = from.text("kind");
  for (const ValueKind kind : forward_kinds) {
    if (name == value_kind_name(kind)) return kind;
  }
  from.fail("has the kind '" + name + "', which no forward graph has");
}

Value parse_value(const JsonObject& from, int64_t values) {
  Value value;
  value.name = from.text("name");
  value.kind = parse_kind(from);
  value.batch = !from.has("rows");
  if (!value.batch) value.rows = from.integer("rows", 1, max_extent);
  value.cols = from.integer("cols", 1, max_extent);
  const bool weight = value.kind == ValueKind::param || value.kind == ValueKind::table;
  from.need(value.batch != weight, "has rows of its own, or lacks them");
  if (!from.has("base")) return value;
  value.base = static_cast<ValueId>(from.integer("base", 0, values - 1));
  value.column = from.integer("column", 0, max_extent);
  return value;
}

/// A value may be a view of one that comes after it, so views are checked once all are known.
void check_view(const JsonObject& from, const Graph& graph, const Value& value) {
  if (value.base == kNoValue) return;
  const Value& base = graph.value(value.base);
  const bool can = base.base == kNoValue && base.kind == ValueKind::activation && value.kind == base.kind;
  from.need(can, "is a view of something that has none");
  from.need(value.column + value.cols <= base.cols, "is wider than what it is a view of");
}

Attribute parse_attribute(const JsonObject& from, const std::string& name, const Json& json) {
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  from.need(json.is_array(), "has an attribute '" + name + "' of no known type");
  std::vector<int64_t> numbers;
  for (const Json& item : json) {
    from.need(item.is_number_integer(), "has an attribute '" + name + "' that is no list of integers");
    numbers.push_back(item);
  }
  return numbers;
}

std::vector<ValueId> parse_ids(const JsonObject& from, const char* key, const Graph& graph) {
  const auto ids = from.integers(key, kNoValue, static_cast<int64_t>(graph.values.size()) - 1);
  return {ids.begin(), ids.end()};
}

OpNode parse_node(const JsonObject& from, const Graph& graph) {
  OpNode node;
  const std::string op = from.text("op");
  node.op = find_op(op);
  from.need(node.op != nullptr, "uses the op '" + op + "', which this mtrank does not have");
  node.scope = from.text("scope");
  node.inputs = parse_ids(from, "in", graph);
  node.outputs = parse_ids(from, "out", graph);
  node.accumulate.assign(node.outputs.size(), 0);
  if (!from.has("attributes")) return node;
  from.need(from.at("attributes").is_object(), "has attributes that are no object");
  for (const auto& [name, json] : from.at("attributes").items()) {
    node.attributes.set(name, parse_attribute(from, name, json));
  }
  return node;
}

/// The letter of `Op::takes`.
char letter_of(ValueKind kind) {
  switch (kind) {
    case ValueKind::param:
      return 'w';
    case ValueKind::table:
      return 't';
    case ValueKind::ids:
      return 'i';
    default:
      return 'x';
  }
}

/// Kernels trust that every input is there and is what they take it for.
void check_inputs(const JsonObject& from, const Graph& graph, const OpNode& node) {
  from.need(node.op->takes, "uses the op '" + std::string(node.op->name) + "', which no forward graph has");
  std::string letters;
  std::vector<uint8_t> optional;
  for (const char c : std::string_view(node.op->takes)) {
    if (c == '?') optional.back() = 1;
    if (c != '?' && c != '*') letters += c, optional.push_back(0);
  }
  const size_t count = node.inputs.size(), expected = letters.size();
  const bool repeats = std::string_view(node.op->takes).ends_with('*');
  from.need(count == expected || (repeats && count > 0 && count % expected == 0),
            "has " + std::to_string(count) + " inputs, expected " + std::to_string(expected) +
                (repeats ? ", or that many times over" : ""));
  for (size_t i = 0; i < count; ++i) {
    const ValueId id = node.inputs[i];
    const bool fits =
        id == kNoValue ? optional[i % expected] : letter_of(graph.value(id).kind) == letters[i % expected];
    from.need(fits, "has the input " + std::to_string(i) + ", which its op cannot take");
  }
}

/// Does the op agree with the columns of the node's outputs?
void check_shapes(const JsonObject& from, const Graph& graph, const OpNode& node) {
  std::vector<Value> inputs;
  for (const ValueId id : node.inputs) inputs.push_back(id == kNoValue ? Value{} : graph.value(id));
  std::vector<int64_t> cols;
  try {
    cols = node.op->shapes({inputs, node.attributes});
  } catch (const ShapeError& e) {
    from.fail(std::string("does not fit its inputs: ") + e.what());
  } catch (const std::bad_variant_access&) {
    from.fail("has an attribute of the wrong type");
  }
  from.need(cols.size() == node.outputs.size(),
            "has " + std::to_string(node.outputs.size()) + " outputs, its op " + std::to_string(cols.size()));
  from.need(node.outputs[0] != kNoValue, "lacks its first output");
  for (size_t i = 0; i < cols.size(); ++i) {
    if (node.outputs[i] == kNoValue) continue;
    from.need(graph.value(node.outputs[i]).cols == cols[i], "writes " + std::to_string(cols[i]) + " columns into '" +
                                                                graph.value(node.outputs[i]).name + "', which has " +
                                                                std::to_string(graph.value(node.outputs[i]).cols));
  }
}

/// Inputs and weights are there from the start, activations once a node has written some of their memory.
void check_order(const JsonObject& from, const Graph& graph, const OpNode& node, std::vector<uint8_t>& written) {
  for (const ValueId id : node.inputs) {
    if (id == kNoValue || graph.value(id).kind != ValueKind::activation) continue;
    from.need(written[static_cast<size_t>(graph.root(id))],
              "reads '" + graph.value(id).name + "' before it is written");
  }
  for (const ValueId id : node.outputs) {
    if (id == kNoValue) continue;
    from.need(graph.value(id).kind == ValueKind::activation, "writes '" + graph.value(id).name + "'");
    written[static_cast<size_t>(graph.root(id))] = 1;
  }
}

ValueId parse_weight(const JsonObject& from, const Json& json, ValueKind kind, const Graph& graph) {
  const int64_t id = from.integer(json, "value", 0, static_cast<int64_t>(graph.values.size()) - 1);
  from.need(graph.value(static_cast<ValueId>(id)).kind == kind, "lists a value of another kind");
  return static_cast<ValueId>(id);
}

ParamWeight parse_param(const JsonObject& from, const Graph& graph) {
  ParamWeight param{
      parse_weight(from, from.at("value"), ValueKind::param, graph), from.integers("shape", 1, max_extent), {}};
  double size = 1;
  for (const int64_t extent : param.shape) size *= static_cast<double>(extent);
  const Value& value = graph.value(param.value);
  from.need(size == static_cast<double>(value.rows) * static_cast<double>(value.cols), "has a shape of another size");
  return param;
}

/// Every weight is listed once: kernels find their memory through the lists.
void check_listed(const JsonObject& from, const Graph& graph) {
  std::vector<int> listed(graph.values.size());
  for (const ParamWeight& param : graph.params) ++listed[static_cast<size_t>(param.value)];
  for (const TableWeight& table : graph.tables) ++listed[static_cast<size_t>(table.value)];
  for (size_t i = 0; i < listed.size(); ++i) {
    const ValueKind kind = graph.values[i].kind;
    const bool weight = kind == ValueKind::param || kind == ValueKind::table;
    from.need(listed[i] == (weight ? 1 : 0), "lists the weight '" + graph.values[i].name + "' not once");
  }
}

std::string numbered(const char* what, size_t number) { return std::string(what) + " " + std::to_string(number); }

}  // namespace

std::string graph_to_json(const Graph& graph) {
  MTRANK_ASSERT(graph.forward_nodes == graph.nodes.size());
  Json json = {{"values", Json::array()}, {"nodes", Json::array()}, {"params", Json::array()}};
  for (const Value& value : graph.values) json["values"].push_back(value_json(value));
  for (const OpNode& node : graph.nodes) json["nodes"].push_back(node_json(node));
  for (const ParamWeight& param : graph.params) {
    json["params"].push_back({{"value", param.value}, {"shape", param.shape}});
  }
  json["tables"] = Json::array();
  for (const TableWeight& table : graph.tables) json["tables"].push_back(table.value);
  json["outputs"] = Json::array();
  for (const NamedValue& output : graph.outputs) {
    json["outputs"].push_back({{"name", output.name}, {"value", output.value}});
  }
  return json.dump();
}

Graph graph_from_json(std::string_view text) {
  const Json json = parse_json<Json>(text);
  if (json.is_discarded()) throw FileError("graph: not JSON");
  const JsonObject top(json, "the whole");
  Graph graph;
  const Json& values = top.list("values");
  for (const Json& value : values) {
    const JsonObject from(value, numbered("value", graph.values.size()));
    graph.values.push_back(parse_value(from, static_cast<int64_t>(values.size())));
  }
  for (size_t i = 0; i < graph.values.size(); ++i) {
    check_view(JsonObject(values[i], numbered("value", i)), graph, graph.values[i]);
  }
  std::vector<uint8_t> written(graph.values.size());
  for (const Json& node : top.list("nodes")) {
    const JsonObject from(node, numbered("node", graph.nodes.size()));
    graph.nodes.push_back(parse_node(from, graph));
    check_inputs(from, graph, graph.nodes.back());
    check_shapes(from, graph, graph.nodes.back());
    check_order(from, graph, graph.nodes.back(), written);
  }
  graph.forward_nodes = graph.nodes.size();
  for (const Json& param : top.list("params")) {
    graph.params.push_back(parse_param(JsonObject(param, numbered("param", graph.params.size())), graph));
  }
  for (const Json& table : top.list("tables")) {
    graph.tables.push_back({parse_weight(top, table, ValueKind::table, graph), {}});
  }
  check_listed(top, graph);
  for (const Json& output : top.list("outputs")) {
    const JsonObject from(output, numbered("output", graph.outputs.size()));
    graph.outputs.push_back({from.text("name"), parse_weight(from, from.at("value"), ValueKind::activation, graph)});
    from.need(written[static_cast<size_t>(graph.root(graph.outputs.back().value))], "is never written");
  }
  graph.gradient_of.assign(graph.values.size(), kNoValue);
  return graph;
}

}  // namespace mtrank
