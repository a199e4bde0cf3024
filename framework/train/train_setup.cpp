#include "framework/train/train_setup.h"

#include <fmt/core.h>

#include <cstdio>

#include "framework/core/error.h"

namespace mtrank {

Config load_for_training(const std::string& path, const std::vector<std::string>& overrides) {
  Diagnostics diagnostics;
  Config config = load_config(path, overrides, diagnostics);
  resolve_layers(config, diagnostics);
  diagnostics.throw_if_errors(color_wanted());
  if (diagnostics.warnings()) std::fputs(diagnostics.render(color_wanted()).c_str(), stderr);
  return config;
}

TableRows table_rows(const FeatureTransforms& transforms) {
  TableRows rows;
  for (const TableTransform& table : transforms.tables) rows[table.name] = table.rows;
  return rows;
}

Graphs build_graphs(const Config& config, const TableRows& rows) {
  Diagnostics diagnostics;
  Graphs graphs{build_model(config, rows, ModelUse::training, diagnostics), {}};
  diagnostics.throw_if_errors(color_wanted());
  graphs.scoring = build_model(config, rows, ModelUse::scoring, diagnostics);
  return graphs;
}

void load_tensors(const SafetensorsReader& reader, const std::vector<TensorSource>& tensors) {
  for (const TensorSource& tensor : tensors) reader.require(tensor.name, tensor.dtype, tensor.shape);
  for (const TensorSource& tensor : tensors) reader.read(*reader.find(tensor.name), const_cast<void*>(tensor.data));
}

std::string format_table(const EvalRecord& record) {
  size_t width = 4;
  for (const TaskMetrics& task : record.tasks) width = std::max(width, task.task.size());
  std::vector<std::string> names;
  for (const TaskMetrics& task : record.tasks)
    for (const auto& [name, value] : task.metrics)
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  std::string text = fmt::format("{} at step {}\n  {:<{}}", record.split, record.step, "task", width);
  for (const std::string& name : names) text += fmt::format("  {:>10}", name);
  for (const TaskMetrics& task : record.tasks) {
    text += fmt::format("\n  {:<{}}", task.task, width);
    for (const std::string& name : names) {
      std::string cell = "-";
      for (const auto& [own, value] : task.metrics)
        if (own == name) cell = value.value ? fmt::format("{:.5f}", *value.value) : "undefined";
      text += fmt::format("  {:>{}}", cell, std::max<size_t>(10, name.size()));
    }
  }
  return text;
}

}  // namespace mtrank
