#include "framework/data/data_fields.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace mtrank {
namespace {

using Json = nlohmann::ordered_json;

Json condition_json(const LabelCondition& condition) { return condition.text; }

Json label_json(const LabelSpec& label) {
  constexpr const char* comparisons[] = {"==", "!=", "<", "<=", ">", ">="};
  Json j{{"column", label.column}, {"type", label.binary ? "binary" : "regression"}, {"positive", label.positive}};
  if (label.comparison) {
    j["comparison"] = comparisons[static_cast<int>(*label.comparison)];
    j["threshold"] = label.threshold;
  }
  return j;
}

Json sample_json(const RowSpec& rows) {
  if (!rows.sample) return {};
  constexpr const char* corrections[] = {"none", "weight", "logit"};
  return {{"when", condition_json(rows.sample->when)},
          {"keep", rows.sample->keep},
          {"correct", corrections[static_cast<int>(rows.sample->correct)]}};
}

Json split_json(const DatasetSpec& spec) {
  Json j;
  // The first that differs is named; what trains is what the others leave.
  for (const Part part : {Part::valid, Part::test, Part::train}) {
    const SplitSpec& split = spec.parts[static_cast<size_t>(part)].split;
    if (split.by.empty()) continue;
    j["by"] = split.by;
    j["folds"] = split.folds;
    Json& folds = j[part_name(part)] = Json::array();
    for (size_t fold = 0; fold < split.take.size(); ++fold)
      if (split.take[fold]) folds.push_back(fold);
  }
  return j;
}

class Fields {
 public:
  void add(std::string name, const Json& value) { out_.push_back({std::move(name), value.dump()}); }
  std::vector<DataField> take() { return std::move(out_); }

 private:
  std::vector<DataField> out_;
};

const DataField* find(const std::vector<DataField>& fields, const std::string& name) {
  const auto at = std::find_if(fields.begin(), fields.end(), [&](const DataField& f) { return f.name == name; });
  return at == fields.end() ? nullptr : &*at;
}

std::string shown(const Json& value) {
  const std::string text = value.dump();
  return text.size() > 80 ? text.substr(0, 77) + "..." : text;
}

/// What configs call a key of a feature's transforms.
std::string config_key(const std::string& key) {
  constexpr std::pair<const char*, const char*> others[] = {
      {"kind", "type"}, {"drop_unseen", "unseen"}, {"keep_last", "keep"}, {"steps", "transform, normalize or clip"}};
  for (const auto& [ours, theirs] : others)
    if (key == ours) return theirs;
  return key;
}

/// The innermost value that differs.
std::string difference(const std::string& path, const Json& before, const Json& after) {
  if (before.is_object() && after.is_object()) {
    for (const auto& [key, value] : before.items())
      if (!after.contains(key) || after[key] != value)
        return difference(path + "." + config_key(key), value, after.contains(key) ? after[key] : Json());
    for (const auto& [key, value] : after.items())
      if (!before.contains(key)) return difference(path + "." + config_key(key), Json(), value);
  }
  return path + ": " + shown(before) + ", now " + shown(after);
}

}  // namespace

std::vector<DataField> data_fields(const DatasetSpec& spec) {
  Fields out;
  const ReadOptions& read = spec.read;
  out.add("data.format", read.format.empty() ? "auto" : read.format);
  out.add("data.delimiter", read.delimiter == 0 ? Json() : Json(int{read.delimiter}));
  out.add("data.trim", read.trim);
  out.add("data.columns", read.columns);
  out.add("data.header", read.skip_header);
  out.add("data.missing", spec.transforms.missing);
  out.add("data.weight", spec.rows.weight_column);
  out.add("data.sample", sample_json(spec.rows));
  if (spec.rows.sample) out.add("seed", spec.rows.seed);
  out.add("data.split", split_json(spec));
  out.add("data.on_bad_row", spec.skip_bad_rows ? Json{{"policy", "skip"}, {"cap", spec.bad_row_cap}} : Json("error"));
  const Json transforms = Json::parse(transforms_to_json(spec.transforms));
  for (const Json& table : transforms["tables"]) out.add("tables." + table["name"].get<std::string>(), table);
  for (const Json& feature : transforms["features"]) out.add("features." + feature["name"].get<std::string>(), feature);
  for (const LabelSpec& label : spec.rows.labels) out.add("labels." + label.name, label_json(label));
  for (const LabelCondition& condition : spec.rows.conditions)
    out.add("tasks: only_when: " + condition.text, condition_json(condition));
  for (const std::string& key : spec.rows.keys) out.add("eval: column " + key, true);
  return out.take();
}

std::string first_difference(const std::vector<DataField>& before, const std::vector<DataField>& after) {
  for (const DataField& field : after) {
    const DataField* then = find(before, field.name);
    if (!then) return field.name + ": not there, now " + shown(Json::parse(field.value, nullptr, false));
    if (then->value != field.value)
      return difference(field.name, Json::parse(then->value, nullptr, false), Json::parse(field.value));
  }
  for (size_t i = 0; i < before.size(); ++i) {
    if (!find(after, before[i].name)) return before[i].name + ": there, now gone";
    if (before[i].name != after[i].name) return before[i].name + ": its place changed";
  }
  return {};
}

}  // namespace mtrank
