#include "framework/config/build.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "framework/config/tree.h"

namespace mtrank {
namespace {

/// The sections as they stand in a file. Those with names of the user's are taken apart below.
struct Sections {
  int64_t version = 1;
  std::string name;
  int64_t seed = 1;
  DataConfig data;
  Node labels, defaults, tables, features, model, tasks, outputs;
  TrainConfig train;
  EvalConfig eval;
  void fields(Fields& f) {
    f("version", version, "of the config format").min(1).max(1);
    f("name", name, "of the run");
    f("seed", seed, "of every random number").min(0);
    f("data", data, "files and how they are read").required();
    f("labels", labels, "what is predicted").required();
    f("defaults", defaults, "keys that tables and tasks share");
    f("tables", tables, "embedding tables that are shared or special");
    f("features", features, "what the model sees").required();
    f("model", model, "layers by name");
    f("tasks", tasks, "one a label when not given");
    f("train", train, "how it is trained");
    f("eval", eval, "how it is measured");
    f("outputs", outputs, "what is scored; one a task when not given");
  }
};

struct Defaults {
  Node table, task;
  void fields(Fields& f) {
    f("table", table, "of every table");
    f("task", task, "of every task");
  }
};

/// The entries of a section: a map of names, or a list of bare names.
std::vector<Node::Entry> entries_of(const Node& section, const char* what, Diagnostics& d) {
  if (section.is_null()) return {};
  if (section.is_map()) return section.entries;
  std::vector<Node::Entry> out;
  if (!section.is_list()) {
    d.error(Code::wrong_type, section.at,
            std::string("`") + what + "` takes a map of names, found " + section.spoken());
    return out;
  }
  for (const Node& item : section.items) {
    const bool again = std::any_of(out.begin(), out.end(), [&](const auto& e) { return e.key == item.text; });
    if (!item.is_scalar())
      d.error(Code::wrong_type, item.at, std::string("`") + what + "` takes names here, found " + item.spoken());
    else if (again)
      d.error(Code::duplicate_name, item.at, "`" + item.text + "` is named twice");
    else
      out.push_back({item.text, item.at, {}});
  }
  return out;
}

Node with_type(const Node& node, const char* selector) {
  if (!node.is_scalar()) return node;
  Node out = Node::map();
  out.at = node.at;
  out.set(selector, node);
  return out;
}

/// `own` over `defaults`: keys replace keys, whole values at a time.
Node over_defaults(const Node& defaults, const Node& own) {
  Node out = defaults.is_map() ? defaults : Node::map();
  if (own.at.known()) out.at = own.at;
  for (const Node::Entry& entry : own.entries) {
    out.erase(entry.key);
    out.entries.push_back(entry);
  }
  return out;
}

Node table_node(const Node& defaults, const Node& written) {
  const Node own = with_type(written, "ids");
  if (!own.is_map() && !own.is_null()) return own;
  Node base = defaults;
  const Node *theirs = defaults.find("ids"), *mine = own.find("ids");
  if (mine && (!theirs || !theirs->same_value(*mine)))
    for (const char* key : {"rows", "min_count", "vocab_from"}) base.erase(key);
  return over_defaults(base, own);
}

Node task_node(const Node& defaults, const Node& own) {
  if (!own.is_map() && !own.is_null()) return own;
  Node out = over_defaults(defaults, own);
  const Node *theirs = defaults.find("tower"), *mine = own.find("tower");
  if (theirs && mine && mine->is_map()) out.set("tower", merge_trees(*theirs, *mine));
  return out;
}

/// Problems of a default are its own, even when nothing uses it; a missing key may be given by each user of it.
template <class T>
void check_defaults(const Node& node, Diagnostics& d) {
  if (node.is_null()) return;
  Diagnostics found;
  T ignored;
  parse_fields(node, ignored, found);
  for (const Diagnostic& one : found.sorted())
    if (one.code != Code::missing_key) d.error(one.code, one.at, one.message, one.help);
}

class Builder {
 public:
  Builder(const Node& tree, Diagnostics& d) : d_(d) {
    parse_fields(tree, s_, d_);
    if (!s_.defaults.is_null()) parse_fields(s_.defaults, defaults_, d_);
    check_defaults<Table>(with_type(defaults_.table, "ids"), d_);
    check_defaults<Task>(defaults_.task, d_);
    defaults_.table = with_type(defaults_.table, "ids");
  }

  Config build() {
    config_.version = s_.version;
    config_.name = s_.name;
    config_.seed = s_.seed;
    config_.data = s_.data;
    config_.train = s_.train;
    config_.eval = s_.eval;
    labels();
    features();
    tables();
    model();
    tasks();
    outputs();
    return std::move(config_);
  }

 private:
  void labels() {
    for (const auto& entry : entries_of(s_.labels, "labels", d_)) {
      Label label;
      label.name = Name(entry.key, entry.at);
      parse_fields(entry.value, label, d_);
      if (label.column.empty()) label.column = label.name;
      config_.labels.push_back(std::move(label));
    }
    if (config_.labels.empty() && s_.labels.at.known())
      d_.error(Code::missing_key, s_.labels.at, "`labels` names no label");
  }

  /// `column: x` is `columns: [x]` that keeps the feature's own name.
  bool take_column(Node& node) {
    const Node *column = node.find("column"), *columns = node.find("columns");
    if (!column) return columns != nullptr;
    if (columns)
      d_.error(Code::conflict, node.find_entry("columns")->at, "`column` and `columns` exclude each other");
    else if (!column->is_scalar())
      d_.error(Code::wrong_type, column->at, "`column` takes one name, found " + column->spoken(),
               "write `columns` for several");
    Node value = *column;
    node.erase("column");
    if (!columns && value.is_scalar()) node.set("columns", std::move(value));
    return columns != nullptr;
  }

  void too_many_columns(const Name& at) {
    d_.error(Code::too_big, at.at, "the features read more than " + std::to_string(kMaxColumns) + " columns");
  }

  static constexpr size_t kMaxColumns = 20'000;  // of all features; braces are quick to write

  /// Of one block of numbers; features of the same name are found with the names.
  void only_once(const std::vector<Name>& columns) {
    std::set<std::string> seen;
    for (const Name& column : columns)
      if (!seen.insert(column).second)
        d_.error(Code::duplicate_name, column.at, "column `" + column + "` is listed twice");
  }

  void expand_columns(Feature& feature) {
    std::vector<Name> out;
    for (const Name& written : feature.columns) {
      std::vector<std::string> names;
      if (columns_ > kMaxColumns) {
        out.push_back(written);
        break;
      }
      if (const auto problem = expand_braces(written, names)) d_.error(Code::malformed, written.at, *problem);
      columns_ += names.size();
      if (columns_ > kMaxColumns)
        too_many_columns(written);
      else
        for (std::string& name : names) out.emplace_back(std::move(name), written.at);
    }
    if (feature.type == FeatureType::dense) only_once(out);
    if (!out.empty()) feature.columns = std::move(out);
  }

  void features() {
    for (const auto& entry : entries_of(s_.features, "features", d_)) {
      if (columns_ > kMaxColumns) break;
      Node node = with_type(entry.value, "type");
      if (node.is_null()) node.at = entry.at;
      const int before = d_.reported();
      const bool many = take_column(node);
      Feature feature;
      feature.name = Name(entry.key, entry.at);
      parse_fields(node, feature, d_);
      if (feature.columns.empty()) feature.columns = {feature.name};
      expand_columns(feature);
      feature.one_a_column = many && feature.type != FeatureType::dense;
      if (!many && feature.type != FeatureType::dense && feature.columns.size() > 1)
        d_.error(Code::wrong_type, feature.columns[0].at, "`column` stands for one column here",
                 "write `columns` for one feature a column");
      if (feature.one_a_column && feature.weights)
        d_.error(Code::conflict, feature.weights->at, "`weights` belongs to one list, `columns` names several",
                 "give each list a feature of its own");
      feature.sound = d_.reported() == before;
      config_.feature_groups.push_back(feature);
      if (!feature.one_a_column) {
        config_.features.push_back(std::move(feature));
        continue;
      }
      Feature alike = feature;
      alike.columns.clear();
      for (const Name& column : feature.columns) {
        Feature one = alike;
        one.name = column;
        one.columns = {column};
        one.one_a_column = false;
        config_.features.push_back(std::move(one));
      }
    }
    if (config_.features.empty() && s_.features.at.known())
      d_.error(Code::missing_key, s_.features.at, "`features` names no feature");
  }

  Table read_table(const Name& name, const Node& written) {
    Table table;
    table.name = name;
    const int before = d_.reported();
    parse_fields(table_node(defaults_.table, written), table, d_);
    table.sound = d_.reported() == before;
    if (table.ids == IdSpace::hash && table.rows == 0) table.rows = 100'000;
    return table;
  }

  Table bucket_table(const Feature& feature) {
    Node own = Node::map();
    own.at = feature.name.at;
    own.set("ids", Node::scalar("int"));
    own.set("rows", Node::integer(static_cast<int64_t>(feature.boundaries.size()) + 2));
    return read_table(feature.name, own);
  }

  void tables() {
    for (const auto& entry : entries_of(s_.tables, "tables", d_)) {
      Table table = read_table(Name(entry.key, entry.at), entry.value);
      table.declared = true;
      config_.tables.push_back(std::move(table));
    }
    for (Feature& feature : config_.features) {
      if (!feature.has_table() || !feature.table.empty()) continue;
      feature.table = feature.name;
      if (config_.table(feature.name)) continue;
      Node own;
      own.at = feature.name.at;
      config_.tables.push_back(feature.type == FeatureType::bucket ? bucket_table(feature)
                                                                   : read_table(feature.name, own));
    }
    for (Table& table : config_.tables) {
      if (table.ids != IdSpace::vocab || !table.vocab_from.empty()) continue;
      for (const Feature& feature : config_.features)
        if (feature.has_table() && feature.table == table.name) table.vocab_from.push_back(feature.name);
    }
  }

  Name last_layer() const { return config_.layers.empty() ? Name("features") : Name(config_.layers.back().name); }

  void model() {
    for (const auto& entry : entries_of(s_.model, "model", d_)) {
      Layer layer;
      Node node = entry.value;
      if (node.is_null()) node.at = entry.at;
      layer.parse_node(node, d_);
      layer.name = Name(entry.key, entry.at);
      layer.at = entry.at;
      if (layer.type.empty()) layer.type = Name("", entry.at);
      if (layer.from.empty()) layer.from = {Name(last_layer(), entry.at)};
      config_.layers.push_back(std::move(layer));
    }
  }

  void tasks() {
    std::vector<Node::Entry> entries = entries_of(s_.tasks, "tasks", d_);
    if (s_.tasks.is_null())
      for (const Label& label : config_.labels) entries.push_back({label.name, label.name.at, {}});
    for (const auto& entry : entries) {
      Task task;
      task.name = Name(entry.key, entry.at);
      task.at = entry.at;
      parse_fields(task_node(defaults_.task, entry.value), task, d_);
      if (task.label.empty()) task.label = task.name;
      task.tower.name = task.name;
      if (!task.tower.at.known()) task.tower.at = entry.at;
      if (task.tower.type.empty()) task.tower.type = Name("mlp", task.tower.at);
      if (task.tower.from.empty()) task.tower.from = {Name(last_layer(), task.tower.at)};
      if (task.tower.type == "mlp" && !task.tower.settings.find("hidden"))
        task.tower.settings.set("hidden", Node::list({Node::integer(64)}));
      config_.tasks.push_back(std::move(task));
    }
    if (config_.tasks.empty() && !s_.tasks.is_null()) d_.error(Code::missing_key, s_.tasks.at, "`tasks` names no task");
  }

  void outputs() {
    for (const auto& entry : entries_of(s_.outputs, "outputs", d_)) {
      Output output;
      output.name = Name(entry.key, entry.at);
      Node node = with_type(entry.value, "expr");
      // `outputs: [is_click]` scores the task of that name.
      if (node.is_null()) {
        node = with_type(Node::scalar(entry.key), "expr");
        node.entries[0].value.at = entry.at;
      }
      parse_fields(node, output, d_);
      config_.outputs.push_back(std::move(output));
    }
  }

  Diagnostics& d_;
  Sections s_;
  Defaults defaults_;
  Config config_;
  size_t columns_ = 0;
};

}  // namespace

void Layer::parse_node(const Node& node, Diagnostics& d) {
  *this = {};
  at = node.at;
  const int before = d.reported();
  const Node map = with_type(node, "type");
  if (!map.is_map() && !map.is_null()) {
    sound = false;
    return d.error(Code::wrong_type, node.at,
                   "a layer is a map such as {type: mlp, hidden: [64]}, found " + node.spoken());
  }
  struct Common {
    Name type;
    std::vector<Name> from;
    void fields(Fields& f) {
      f("type", type, "kind of layer");
      f("from", from, "its inputs").at_least(1);
    }
  } common;
  Node mine = Node::map();
  mine.at = node.at;
  settings.at = node.at;
  for (const Node::Entry& entry : map.entries)
    (entry.key == "type" || entry.key == "from" ? mine : settings).entries.push_back(entry);
  parse_fields(mine, common, d);
  type = common.type;
  from = common.from;
  sound = d.reported() == before;
}

Node Layer::to_node() const {
  Node out = Node::map();
  out.set("type", Node::scalar(type, true));
  Node inputs = Node::list();
  for (const Name& input : from) inputs.items.push_back(Node::scalar(input, true));
  out.set("from", std::move(inputs));
  for (const Node::Entry& entry : settings.entries) out.set(entry.key, entry.value);
  return out;
}

Config build_config(const Node& tree, const std::string& path, Diagnostics& d) {
  Config config = Builder(tree, d).build();
  config.tree = tree;
  config.path = path;
  if (config.name.empty()) config.name = std::filesystem::path(path).stem().string();
  return config;
}

void finish_config(Config& config) {
  bool binary = false, regression = false;
  for (Task& task : config.tasks) {
    const Label* label = config.label(task.label);
    const bool number = label && label->type == LabelType::regression;
    (number ? regression : binary) = true;
    if (!task.loss) task.loss.emplace().type = number ? "mse" : "bce";
  }
  for (Table& table : config.tables)
    if (!table.optimizer) table.optimizer = config.train.sparse_optimizer;
  auto& eval = config.eval;
  if (eval.metrics.empty()) {
    if (binary)
      for (const char* name : {"auc", "logloss", "ne", "calibration"}) eval.metrics.push_back({name, {}, {}});
    if (regression)
      for (const char* name : {"mse", "mae"}) eval.metrics.push_back({name, {}, {}});
  }
  if (!eval.best && config.data.has_valid() && !config.tree.find_path("eval.best")) {
    for (const MetricCall& metric : eval.metrics)
      if (const MetricRule* rule = metric_rule(metric.name);
          rule && rule->direction != MetricRule::Direction::toward_one) {
        eval.best = BestCall{"mean", metric, {}};
        break;
      }
  }
  if (config.outputs.empty() && !config.tree.find("outputs"))
    for (const Task& task : config.tasks) {
      Output output;
      output.name = task.name;
      output.expr.parse_text(task.name);
      output.expr.at = task.at;
      config.outputs.push_back(std::move(output));
    }
}

}  // namespace mtrank
