#include "framework/cli/reference.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "framework/config/config.h"
#include "framework/config/reference.h"
#include "framework/embedding/optimizer.h"
#include "framework/graph/op.h"
#include "framework/ops/loss.h"
#include "models/layer.h"

namespace mtrank::cli {
namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

bool applies(const FieldInfo& field, const std::string& type) {
  return field.name != "type" &&
         (field.applies_to.empty() || (", " + field.applies_to + ",").find(", " + type + ",") != std::string::npos);
}

/// The rows of a config section that has a `type`, for one of its choices.
std::vector<FieldInfo> fields_of(const std::vector<FieldInfo>& section, const std::string& type) {
  std::vector<FieldInfo> out;
  for (const FieldInfo& field : section) {
    if (!applies(field, type)) continue;
    out.push_back(field);
    out.back().applies_to.clear();
    out.back().other_defaults.clear();
  }
  return out;
}

ReferencePage layers() {
  ReferencePage page{"layers",
                     "A layer is an entry of `model`, `name: {type: …, from: …}`, or a task's `tower`. `from` names "
                     "layers above, features, groups of features, or `features` for all of them; what it names stands "
                     "side by side, [B, sum of the widths]. A new layer is one file of models/ and its row in "
                     "models/layers.def.",
                     {}};
  for (const LayerInfo* layer : all_layers()) {
    ReferenceEntry entry{layer->name, first_line(layer->doc), layer->doc, {}, layer->fields()};
    for (const char* settings : layer->examples) {
      const std::string rest = std::string(settings) == "{}" ? "}" : ", " + std::string(settings + 1);
      entry.examples.push_back(fmt::format("{{type: {}{}", layer->name, rest));
    }
    page.entries.push_back(std::move(entry));
  }
  return page;
}

ReferencePage ops() {
  ReferencePage page{
      "ops",
      "Layers are composed of ops. An op has its shapes, its derivative as further nodes of the graph, and a "
      "kernel a device. A new op is its files in framework/ops and its row in framework/ops/ops.def.",
      {}};
  for (const Op* op : all_ops()) {
    std::string text = op->summary;
    if (!op->backward) text += "\nNo gradient flows through it.";
    page.entries.push_back({op->name, op->summary, text, {}, {}});
  }
  return page;
}

ReferencePage losses() {
  ReferencePage page{"losses",
                     "`loss` of a task: `loss: focal`, or `loss: {type: focal, gamma: 1.5}`. A task's loss is the sum "
                     "of weight * l(z, y) over its rows of the global batch, divided by the sum of weights.",
                     {}};
  for (const LossInfo& loss : all_losses()) {
    const char* output = loss.binary ? "Its prediction is the sigmoid of the logit." : "Its prediction is the output.";
    page.entries.push_back({loss.name,
                            loss.summary,
                            std::string(loss.summary) + "\n" + output,
                            {},
                            fields_of(describe_fields(LossConfig{.type = loss.name, .numbers = {}}), loss.name)});
  }
  return page;
}

std::string used_for(OptimizerUse use) {
  return use == OptimizerUse::both    ? "dense weights and tables"
         : use == OptimizerUse::dense ? "dense weights"
                                      : "tables";
}

/// A row that only one of the two takes says so.
std::vector<FieldInfo> optimizer_fields(const OptimizerInfo& one) {
  const std::string name(one.name);
  std::vector<FieldInfo> dense, tables;
  if (serves(one.use, OptimizerUse::dense))
    dense = fields_of(describe_fields(DenseOptimizer{.type = name, .numbers = {}}), name);
  if (serves(one.use, OptimizerUse::tables))
    tables = fields_of(describe_fields(SparseOptimizer{.type = name, .numbers = {}}), name);
  if (dense.empty()) return tables;
  if (tables.empty()) return dense;
  const auto has = [](const std::vector<FieldInfo>& fields, const std::string& key) {
    return std::any_of(fields.begin(), fields.end(), [&](const FieldInfo& field) { return field.name == key; });
  };
  for (FieldInfo& field : dense)
    if (!has(tables, field.name)) field.applies_to = used_for(OptimizerUse::dense);
  for (FieldInfo& field : tables) {
    if (has(dense, field.name)) continue;
    field.applies_to = used_for(OptimizerUse::tables);
    dense.push_back(field);
  }
  return dense;
}

ReferencePage optimizers() {
  ReferencePage page{"optimizers",
                     "`train.dense_optimizer` moves the dense weights, `train.sparse_optimizer` or a table's own "
                     "`optimizer` the tables. g is the gradient, w the weight.",
                     {}};
  for (const OptimizerInfo& one : optimizer_registry()) {
    std::string text = std::string(one.summary) + "\nFor " + used_for(one.use) + ".\nKeeps: ";
    if (one.slots.empty()) text += "nothing";
    for (size_t i = 0; i < one.slots.size(); ++i)
      text += fmt::format("{}{} (one number a {}{})", i ? ", " : "", one.slots[i].name,
                          one.slots[i].shape == SlotShape::row ? "row" : "weight",
                          one.slots[i].when.empty() ? "" : fmt::format(", where {} is not 0", one.slots[i].when));
    page.entries.push_back({std::string(one.name), std::string(one.summary), text + ".", {}, optimizer_fields(one)});
  }
  return page;
}

ReferencePage metrics() {
  ReferencePage page{"metrics",
                     "`eval.metrics` lists them, by task and segment, exact, weighted and in double precision. What "
                     "is undefined is null with a reason. `eval.best` picks a checkpoint by one: `mean.auc`, "
                     "`click.logloss`.",
                     {}};
  constexpr const char* arguments[] = {"", "(column)", "(bins)"};
  constexpr const char* better[] = {"Higher is better.", "Lower is better.", "Nearer to 1 is better."};
  for (const MetricRule& rule : metric_rules()) {
    const std::string use = rule.task == MetricRule::Task::binary ? "For labels of 0 and 1." : "For regression labels.";
    page.entries.push_back({rule.name,
                            rule.doc,
                            std::string(rule.doc) + "\n" + use + " " + better[static_cast<int>(rule.direction)],
                            {std::string(rule.name) + arguments[static_cast<int>(rule.argument)]},
                            {}});
  }
  return page;
}

ReferencePage features() {
  ReferencePage page{"features",
                     "`features` names what the model sees: `user_id: {type: id}`. A feature without `table` owns a "
                     "table of its name. An empty id is a value of its own; an empty list pools to zeros.",
                     {}};
  constexpr const char* summaries[] = {"one id: a row of its table", "a list of ids, pooled",
                                       "a number, by the interval of `boundaries` it lies in: a row of its table",
                                       "numbers, as they are or transformed"};
  const std::vector<FieldInfo> fields = describe_fields<Feature>();
  const auto types = enum_names(FeatureType{});
  for (size_t i = 0; i < types.size(); ++i) {
    page.entries.push_back({types[i], summaries[i], summaries[i], {}, fields_of(fields, types[i])});
  }
  return page;
}

/// Every section as an entry; its markdown is that of the config layer.
ReferencePage config() {
  ReferencePage page{"config", "", {}};
  for (ConfigSection& section : config_sections())
    page.entries.push_back({section.name, section.title, section.text, {}, std::move(section.fields)});
  return page;
}

void add_plain_rows(const std::vector<FieldInfo>& fields, const std::string& prefix,
                    std::vector<std::array<std::string, 3>>& rows) {
  for (const FieldInfo& field : fields) {
    std::string help = field.help;
    if (!field.bounds.empty()) help += "; " + field.bounds;
    if (!field.applies_to.empty()) help += " (" + field.applies_to + ")";
    rows.push_back({prefix + field.name, field.default_text, help});
    add_plain_rows(field.children, prefix + field.name + ".", rows);
  }
}

std::string plain_fields(const std::vector<FieldInfo>& fields) {
  std::vector<std::array<std::string, 3>> rows{{"key", "default", ""}};
  add_plain_rows(fields, "", rows);
  size_t width[2] = {0, 0};
  for (const auto& row : rows)
    for (size_t c = 0; c < 2; ++c) width[c] = std::max(width[c], std::min<size_t>(row[c].size(), 28));
  std::string out;
  for (const auto& row : rows) out += fmt::format("  {:<{}}  {:<{}}  {}\n", row[0], width[0], row[1], width[1], row[2]);
  return out;
}

std::string title(std::string name) {
  name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

}  // namespace

std::vector<ReferencePage> reference_pages() {
  return {layers(), ops(), losses(), optimizers(), metrics(), features(), config()};
}

std::string to_markdown(const ReferenceEntry& entry) {
  std::string out = "## " + entry.name + "\n\n```\n" + entry.text + "\n```\n";
  if (!entry.fields.empty()) out += "\n" + fields_markdown(entry.fields);
  if (entry.examples.empty()) return out;
  out += "\n```yaml\n";
  for (const std::string& example : entry.examples) out += example + "\n";
  return out + "```\n";
}

std::string to_markdown(const ReferencePage& page) {
  if (page.name == "config") return config_reference_markdown();
  std::string out =
      fmt::format("# {}\n\nMade by `mtrank describe {} --markdown`.\n\n{}\n", title(page.name), page.name, page.intro);
  for (const ReferenceEntry& entry : page.entries) out += "\n" + to_markdown(entry);
  return out;
}

std::string to_list(const ReferencePage& page) {
  size_t width = 0;
  for (const ReferenceEntry& entry : page.entries) width = std::max(width, entry.name.size());
  std::string out = title(page.name) + ", each in full with `mtrank describe NAME`\n";
  for (const ReferenceEntry& entry : page.entries)
    out += fmt::format("  {:<{}}  {}\n", entry.name, width, entry.summary);
  return out;
}

std::string to_plain(const ReferenceEntry& entry) {
  std::string out = entry.name + "\n";
  const std::string& text = entry.text.empty() ? entry.summary : entry.text;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    out += "  " + text.substr(at, end - at) + "\n";
    at = end + 1;
  }
  if (!entry.fields.empty()) out += "\n" + plain_fields(entry.fields);
  if (!entry.examples.empty()) out += "\n";
  for (const std::string& example : entry.examples) out += "  " + example + "\n";
  return out;
}

}  // namespace mtrank::cli
