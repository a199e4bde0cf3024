#pragma once

#include <memory>
#include <vector>

#include "framework/data/binder.h"
#include "framework/embedding/accelerator.h"
#include "framework/graph/plan.h"
#include "framework/train/task_inputs.h"
#include "framework/train/train_device.h"

namespace mtrank {

/// What the accelerator is asked for: `mtrank plan` and `mtrank bench` want to know as well.
AcceleratorJob accelerator_job(const TrainJob& job);

/// Batches as an accelerator takes them.
class HostBatches {
 public:
  /// `plan`: of the training graph. `config` and `plan` live as long as this.
  HostBatches(const Config& config, const Plan& plan, const InputSchema& schema);

  /// Views of the batch and of what is computed from it, which the next call overwrites.
  HostBatch of(const Batch& batch);
  const TaskInputs& tasks() const { return tasks_; }

 private:
  BatchBinder binder_;
  TaskInputs tasks_;
  std::vector<View> inputs_;
  std::vector<IdsView> ids_;
};

/// A TrainDevice on top of an Accelerator.
std::unique_ptr<TrainDevice> open_accelerated_device(const TrainJob& job);

}  // namespace mtrank
