#include "framework/serving/evaluator.h"

#include <cmath>

#include "framework/core/error.h"
#include "framework/metrics/evaluate.h"
#include "models/model.h"

namespace mtrank {

namespace {

/// A task and an output of one name are two things: what the task predicts where it applies, and what is scored.
std::string measured_name(const Config& config, const Output& output) {
  return (config.task(output.name) ? "outputs." : "") + output.name;
}

}  // namespace

Evaluator::Evaluator(const Config& config, ForwardPass& forward, ThreadPool& pool)
    : config_(config), forward_(forward), pool_(pool) {
  for (const Task& task : config.tasks)
    measured_.push_back({task.name, forward.output(kTaskOutput + task.name), task.label,
                         task.only_when ? task.only_when->source : "", metrics_for(task.label)});
  for (const Output& output : config.outputs)
    if (output.label)
      measured_.push_back(
          {measured_name(config, output), forward.output(output.name), *output.label, "", metrics_for(*output.label)});
  for (const Measured& m : measured_) MTRANK_ASSERT(m.output >= 0);
}

std::vector<MetricSpec> Evaluator::metrics_for(const std::string& label) const {
  const bool binary = config_.label(label)->type == LabelType::binary;
  std::vector<MetricSpec> metrics;
  for (const MetricCall& call : config_.eval.metrics) {
    const MetricSpec spec = parse_metric(call.text());
    if ((spec.info->task == MetricTask::binary) == binary) metrics.push_back(spec);
  }
  return metrics;
}

void Evaluator::collect(const Batch& batch, const InputSchema& schema, Columns& columns) {
  const auto rows = static_cast<size_t>(batch.rows);
  for (size_t m = 0; m < measured_.size(); ++m) {
    const int at = schema.label(measured_[m].label);
    if (at < 0) throw DataError("the data has no label `" + measured_[m].label + "`");
    const std::vector<float>& labels = batch.labels[static_cast<size_t>(at)];
    const int condition = measured_[m].condition.empty() ? -1 : schema.condition(measured_[m].condition);
    const std::vector<float>& scores = scores_[static_cast<size_t>(measured_[m].output)];
    for (size_t r = 0; r < rows; ++r) {
      const bool counts =
          !std::isnan(labels[r]) && (condition < 0 || batch.conditions[static_cast<size_t>(condition)][r]);
      columns.prediction[m].push_back(scores[r]);
      columns.label[m].push_back(counts ? labels[r] : 0);
      columns.weight[m].push_back(!counts ? 0 : batch.weight.empty() ? 1 : batch.weight[r]);
    }
  }
  for (size_t k = 0; k < columns.keys.size(); ++k)
    columns.keys[k].insert(columns.keys[k].end(), batch.keys[k].begin(), batch.keys[k].begin() + batch.rows);
}

EvalRecord Evaluator::run(BatchSource& source, const std::string& split, int64_t step, const Warn& warn) {
  const InputSchema& schema = source.schema();
  Columns columns;
  columns.prediction.resize(measured_.size());
  columns.label.resize(measured_.size());
  columns.weight.resize(measured_.size());
  columns.keys.resize(schema.keys.size());
  for (Batch batch; source.next(batch);) {
    forward_.run(pool_, batch, scores_);
    collect(batch, schema, columns);
  }
  std::vector<EvaluationResult> results(measured_.size());
  const std::vector<std::string> segments(config_.eval.segments.begin(), config_.eval.segments.end());
  pool_.run(static_cast<int>(measured_.size()), [&](int task, int) {
    const auto m = static_cast<size_t>(task);
    EvaluationInput input{measured_[m].name, columns.prediction[m], columns.label[m], columns.weight[m], {}, segments};
    for (size_t k = 0; k < columns.keys.size(); ++k) input.columns.push_back({schema.keys[k], columns.keys[k]});
    results[m] = evaluate(measured_[m].metrics, input);
  });

  EvalRecord record{split, step, {}, {}};
  auto named = [&](size_t m, const Evaluation& evaluation) {
    TaskMetrics metrics{measured_[m].name, {}};
    for (size_t i = 0; i < evaluation.values.size(); ++i)
      metrics.metrics.emplace_back(measured_[m].metrics[i].text, evaluation.values[i]);
    return metrics;
  };
  for (size_t m = 0; m < measured_.size(); ++m) {
    record.tasks.push_back(named(m, results[m].all));
    for (const std::string& text : results[m].warnings) warn(split + ": " + text);
  }
  for (const std::string& column : segments) {
    std::map<std::string, SegmentMetrics> by_value;
    for (size_t m = 0; m < measured_.size(); ++m) {
      for (const auto& [hash, evaluation] : results[m].segments[column]) {
        std::string value = source.key_value(schema.key(column), hash);
        SegmentMetrics& segment = by_value[value.empty() ? "#" + std::to_string(hash) : value];
        segment.column = column;
        segment.value = value;
        segment.tasks.push_back(named(m, evaluation));
      }
    }
    for (auto& [value, segment] : by_value) record.segments.push_back(std::move(segment));
  }
  return record;
}

MetricValue best_value(const BestCall& best, const EvalRecord& record) {
  const std::string metric = parse_metric(best.metric.text()).text;
  std::vector<MetricValue> values;
  for (const TaskMetrics& task : record.tasks) {
    if (best.scope != "mean" && best.scope != task.task) continue;
    for (const auto& [name, value] : task.metrics)
      if (name == metric) values.push_back(value);
  }
  return mean_over_tasks(values);
}

}  // namespace mtrank
