#include "framework/train/train_setup.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

#include "framework/core/error.h"

namespace mtrank {

Config load_for_training(const std::string& path, const std::vector<std::string>& overrides) {
  Diagnostics diagnostics;
  Config config = load_config(path, overrides, diagnostics);
  check_model(config, diagnostics);
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

namespace {

/// A value of the data as a table shows it.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; }, ' ');
  return text;
}

/// A row a task, a column a metric, under a first line and the name of the first column.
std::string format_tasks(const std::string& title, const std::string& head, const std::vector<TaskMetrics>& tasks) {
  size_t width = head.size();
  for (const TaskMetrics& task : tasks) width = std::max(width, task.task.size());
  std::vector<std::string> names;
  for (const TaskMetrics& task : tasks)
    for (const auto& [name, value] : task.metrics)
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  std::string text = fmt::format("{}\n  {:<{}}", title, head, width);
  for (const std::string& name : names) text += fmt::format("  {:>10}", name);
  for (const TaskMetrics& task : tasks) {
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

}  // namespace

std::string format_table(const EvalRecord& record) {
  const std::string when = record.step > 0 ? fmt::format(" at step {}", record.step) : "";
  std::string text = format_tasks(record.split + when, "task", record.tasks);
  for (const TaskMetrics& task : record.tasks)
    for (const auto& [name, metric] : task.metrics)
      if (!metric.value) text += fmt::format("\n  {} of {} is undefined: {}", name, task.task, metric.reason);
  return text;
}

std::string format_segments(const EvalRecord& record, size_t most) {
  std::string text;
  for (size_t s = 0; s < record.segments.size();) {
    const std::string& column = record.segments[s].column;
    std::vector<TaskMetrics> rows;
    size_t values = 0;
    for (; s < record.segments.size() && record.segments[s].column == column; ++s) {
      if (++values > most) continue;
      for (const TaskMetrics& task : record.segments[s].tasks)
        rows.push_back({one_line(record.segments[s].value) + "  " + task.task, task.metrics});
    }
    text += "\n" + format_tasks("by " + column, column + "  task", rows);
    if (values > most) text += fmt::format("\n  and {} more values", values - most);
  }
  return text;
}

}  // namespace mtrank
