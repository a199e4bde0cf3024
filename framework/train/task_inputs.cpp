#include "framework/train/task_inputs.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "framework/core/error.h"
#include "framework/core/reduce.h"

namespace mtrank {

TaskInputs::TaskInputs(const Config& config, const Plan& plan, const InputSchema& schema) : schema_(schema) {
  for (const NamedValue& loss : plan.graph.losses) {
    const Task* task = config.task(loss.name);
    const int label = schema.label(task->label);
    MTRANK_ASSERT(label >= 0);
    tasks_.push_back({task, label, task->only_when ? schema.condition(task->only_when->source) : -1, {}, {}, {}});
  }
  const std::pair<const char*, Column> columns[] = {
      {"/label", &Input::values}, {"/weight", &Input::weights}, {"/correction", &Input::correction}};
  for (size_t i = 0; i < plan.inputs.size(); ++i)
    for (size_t t = 0; t < tasks_.size(); ++t)
      for (const auto& [suffix, column] : columns)
        if (plan.graph.value(plan.inputs[i]).name == tasks_[t].task->name + suffix) bindings_.push_back({i, t, column});
  for (ValueId id : plan.scalars)
    for (Input& input : tasks_)
      if (plan.graph.value(id).name == input.task->name + "/scale")
        scalars_.push_back({.data = &input.scale, .rows = 1, .cols = 1, .ld = 1});
  MTRANK_ASSERT(scalars_.size() == plan.scalars.size());
}

void TaskInputs::prepare(const Batch& batch) {
  for (Input& input : tasks_) prepare(input, batch);
}

void TaskInputs::prepare(Input& input, const Batch& batch) const {
  const auto rows = static_cast<size_t>(batch.rows);
  const LabelInfo& label = schema_.labels[static_cast<size_t>(input.label)];
  const std::vector<float>& labels = batch.labels[static_cast<size_t>(input.label)];
  const float* row_weights = batch.weights(label);
  const uint8_t* holds = input.condition >= 0 ? batch.conditions[static_cast<size_t>(input.condition)].data() : nullptr;
  input.values.resize(rows);
  input.weights.resize(rows);
  for (size_t r = 0; r < rows; ++r) {
    const bool missing = std::isnan(labels[r]);
    input.values[r] = missing ? 0 : labels[r];
    input.weights[r] = missing || (holds && !holds[r]) ? 0 : (row_weights ? row_weights[r] : 1);
  }
  input.correction.assign(rows, 0);
  if (label.logit_corrected && !batch.logit_correction.empty())
    std::copy_n(batch.logit_correction.begin(), rows, input.correction.begin());
  const double weight_sum = sum_f64(input.weights.data(), batch.rows);
  input.scale = weight_sum > 0 ? input.task->weight / weight_sum : 0;
}

void TaskInputs::bind(int64_t first, std::vector<View>& inputs) {
  for (const Binding& binding : bindings_) {
    std::vector<float>& column = tasks_[binding.task].*binding.column;
    inputs[binding.input] = {
        .data = column.data() + first, .rows = static_cast<int64_t>(column.size()) - first, .cols = 1, .ld = 1};
  }
}

}  // namespace mtrank
