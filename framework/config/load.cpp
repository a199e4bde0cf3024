#include <algorithm>
#include <array>

#include "framework/config/build.h"
#include "framework/config/tree.h"
#include "framework/core/hash.h"

namespace mtrank {
namespace {

template <class T>
const T* by_name(const std::vector<T>& things, std::string_view name) {
  for (const T& thing : things)
    if (thing.name == name) return &thing;
  return nullptr;
}

void erase_path(Node& tree, std::string_view path) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return void(tree.erase(path));
  if (Node* inner = tree.find(path.substr(0, dot))) erase_path(*inner, path.substr(dot + 1));
}

// The files are known by their fingerprint, the rest changes no bit of a result.
constexpr std::array kNoMatter = {"name",          "data.train",   "data.valid",      "data.test",
                                  "data.files",    "data.cache",   "data.mtb",        "train.device",
                                  "train.threads", "train.memory", "train.checkpoint"};
constexpr std::array kNotPortable = {"data.train",    "data.valid",   "data.test",      "data.files",
                                     "data.cache",    "data.mtb",     "data.split",     "train.device",
                                     "train.threads", "train.memory", "train.init_from"};

std::string value_text(const Node* node) {
  if (!node) return "not given";
  std::string text = node->is_scalar() ? node->text : write_json(*node);
  return text.size() > 80 ? text.substr(0, 77) + "..." : text;
}

void add_differences(const std::string& path, const Node* before, const Node* after, std::vector<std::string>& found) {
  if (!before || !after || !before->is_map() || !after->is_map()) {
    if (!before || !after || !before->same_value(*after))
      found.push_back(path + ": " + value_text(before) + ", now " + value_text(after));
    return;
  }
  const auto inner = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
  for (const Node::Entry& entry : before->entries)
    add_differences(inner(entry.key), &entry.value, after->find(entry.key), found);
  const size_t both = found.size();
  for (const Node::Entry& entry : after->entries)
    if (!before->find(entry.key)) add_differences(inner(entry.key), nullptr, &entry.value, found);
  // The order of features, tables and layers is part of the model.
  if (before->entries.size() != after->entries.size() || found.size() != both) return;
  for (size_t i = 0; i < after->entries.size(); ++i)
    if (after->entries[i].key != before->entries[i].key)
      return found.push_back(inner(after->entries[i].key) + ": its place changed");
}

template <class T>
Node named(const std::vector<T>& things) {
  Node out = Node::map();
  for (const T& thing : things) out.set(thing.name, to_node(thing));
  return out;
}

Node comparable(Node tree) {
  for (const char* path : kNoMatter) erase_path(tree, path);
  return tree;
}

/// A `${` that came out of the expansion would be expanded again.
Node escaped(Node node) {
  for (size_t i = 0; (i = node.text.find("${", i)) != std::string::npos; i += 3) node.text.insert(i, 1, '$');
  for (Node& item : node.items) item = escaped(std::move(item));
  for (Node::Entry& entry : node.entries) entry.value = escaped(std::move(entry.value));
  return node;
}

/// `columns` of one feature is written `column`, or it would read back as a group.
Node feature_node(const Feature& feature) {
  Node out = to_node(feature);
  if (feature.one_a_column || feature.type == FeatureType::dense) return out;
  for (Node::Entry& entry : out.entries)
    if (entry.key == "columns") {
      entry.key = "column";
      Node first = entry.value.items.at(0);
      entry.value = std::move(first);
    }
  return out;
}

Config load(const LoadedTree& loaded, const std::string& path, bool overridden, Diagnostics& d) {
  Config config = build_config(loaded.tree, path, d);
  finish_config(config);
  drop_removed(config, loaded.removed, d);
  if (!overridden) {
    check_config(config, nullptr, d);
    return config;
  }
  Diagnostics ignored;
  Config before = build_config(loaded.without_overrides, path, ignored);
  finish_config(before);
  check_config(config, &before, d);
  return config;
}

}  // namespace

const Label* Config::label(std::string_view name) const { return by_name(labels, name); }
const Table* Config::table(std::string_view name) const { return by_name(tables, name); }
const Feature* Config::feature(std::string_view name) const { return by_name(features, name); }
const Feature* Config::feature_group(std::string_view name) const { return by_name(feature_groups, name); }
const Layer* Config::layer(std::string_view name) const { return by_name(layers, name); }
const Task* Config::task(std::string_view name) const { return by_name(tasks, name); }

std::vector<const Feature*> Config::features_named(std::string_view name) const {
  std::vector<const Feature*> out;
  if (name == "features")
    for (const Feature& feature : features) out.push_back(&feature);
  else if (const Feature* group = feature_group(name); group && group->one_a_column)
    for (const Name& column : group->columns) out.push_back(feature(column));
  else if (const Feature* one = feature(name))
    out.push_back(one);
  return out;
}

Location Config::at(std::string_view path) const {
  const Node* node = tree.find_path(path);
  return node ? node->at : tree.at;
}

Config load_config_text(const std::string& text, const std::string& name, const std::vector<std::string>& overrides,
                        Diagnostics& d) {
  const LoadedTree loaded = load_tree(text, name, overrides, d);
  // Nothing could be read: saying that every section is missing would only add noise.
  if (loaded.tree.entries.empty() && !d.ok()) return {};
  Config config = load(loaded, name, !overrides.empty(), d);
  if (const Node* data = loaded.tree.find("data"); data && config.data.files.empty() && config.data.train.empty())
    d.error(Code::missing_key, data->at, "no training data: `train` is missing",
            "give `train:`, or `files:` and `split:`");
  return config;
}

Config load_portable(const std::string& text, const std::string& name, Diagnostics& d) {
  const LoadedTree loaded = load_tree(text, name, {}, d);
  return loaded.tree.entries.empty() ? Config{} : load(loaded, name, false, d);
}

Config load_config(const std::string& path, const std::vector<std::string>& overrides, Diagnostics& d) {
  const auto text = read_config_file(path, {}, d);
  return text ? load_config_text(*text, path, overrides, d) : Config{};
}

Node resolved_tree(const Config& config) {
  Node out = Node::map();
  out.set("version", Node::integer(config.version));
  out.set("name", Node::scalar(config.name, true));
  out.set("seed", Node::integer(config.seed));
  out.set("data", to_node(config.data));
  out.set("labels", named(config.labels));
  out.set("tables", named(config.tables));
  Node features = Node::map();
  for (const Feature& feature : config.feature_groups) {
    Node node = feature_node(feature);
    const bool owns = feature.has_table() && feature.table.empty();
    if (feature.one_a_column && owns)
      node.erase("table");
    else if (owns)
      node.set("table", Node::scalar(feature.name, true));
    features.set(feature.name, std::move(node));
  }
  out.set("features", std::move(features));
  Node model = Node::map(), outputs = Node::map();
  for (const Layer& layer : config.layers) model.set(layer.name, layer.to_node());
  out.set("model", std::move(model));
  out.set("tasks", named(config.tasks));
  out.set("train", to_node(config.train));
  out.set("eval", to_node(config.eval));
  out.set("outputs", named(config.outputs));
  return out;
}

std::string resolved_yaml(const Config& config) { return write_yaml(escaped(resolved_tree(config))); }

Node portable_tree(const Config& config) {
  Node tree = resolved_tree(config);
  for (const char* path : kNotPortable) erase_path(tree, path);
  return tree;
}

std::string portable_yaml(const Config& config) { return write_yaml(escaped(portable_tree(config))); }

std::vector<std::string> differences(const Node& before, const Node& after) {
  const Node a = comparable(before), b = comparable(after);
  std::vector<std::string> found;
  add_differences("", &a, &b, found);
  return found;
}

uint64_t config_hash(const Config& config) { return xxh64(write_json(comparable(resolved_tree(config)))); }

}  // namespace mtrank
