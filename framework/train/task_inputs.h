#pragma once

#include <cstdint>
#include <vector>

#include "framework/config/config.h"
#include "framework/data/batch.h"
#include "framework/graph/plan.h"

namespace mtrank {

/// What a graph's losses read beside the predictions: of every task its labels, the weights of its rows (0 where the
/// label is missing or `only_when` does not hold) and the correction of its logits; and the scalar
/// task weight / Σ w, known before the forward pass.
class TaskInputs {
 public:
  /// One task for each loss of the plan's graph. `plan` and `config` must live as long as this.
  TaskInputs(const Config& config, const Plan& plan, const InputSchema& schema);
  TaskInputs(const TaskInputs&) = delete;
  TaskInputs& operator=(const TaskInputs&) = delete;

  void prepare(const Batch& batch);
  /// Sets those of the plan's inputs that are a task's, to their rows from `first` on.
  void bind(int64_t first, std::vector<View>& inputs);
  /// By scalar of the plan.
  const std::vector<View>& scalars() const { return scalars_; }

  size_t size() const { return tasks_.size(); }
  const Task& task(size_t loss) const { return *tasks_[loss].task; }
  /// What a task's loss is multiplied by. Whoever changes it puts it back.
  double& scale(size_t loss) { return tasks_[loss].scale; }

 private:
  struct Input {
    const Task* task;
    int label, condition;
    std::vector<float> values, weights, correction;  // [B]
    double scale = 0;
  };
  using Column = std::vector<float> Input::*;
  struct Binding {
    size_t input, task;
    Column column;
  };
  void prepare(Input& input, const Batch& batch) const;

  const InputSchema& schema_;
  std::vector<Input> tasks_;
  std::vector<Binding> bindings_;
  std::vector<View> scalars_;
};

}  // namespace mtrank
