#pragma once

#include <vector>

#include "cuda/embedding/sparse_update.h"
#include "cuda/fusion.h"
#include "cuda/memory.h"
#include "cuda/model.h"
#include "cuda/updates.h"
#include "framework/embedding/accelerator.h"
#include "framework/graph/plan.h"

namespace mtrank::cuda {

/// What a job computes, and where everything it needs will lie: made without a device.
class JobPlan {
 public:
  explicit JobPlan(const AcceleratorJob& job);
  /// Of an Outcome and the losses behind it; `shards`: those of every logical shard.
  size_t result_bytes(int shards = 1) const;
  /// Of all outputs of a batch that is scored.
  size_t scores_bytes() const;

  const AcceleratorJob& job;
  Fusions fusions;  ///< of the training plan
  Plan training, scoring;
  DeviceModel model;
  DeviceMemory lasting;  ///< weights, state, gradients
  size_t stopped_at;     ///< a word of it: see verdict()

  std::vector<IdsRoom> training_room, scoring_room;  ///< by id input of the plans
  std::vector<int> table_of, ids_of;                 ///< by sparse gradient: its table, its place among the plan's ids
  /// By sparse gradient: the gradient of the pooled output, where it is the same and nothing needs to be copied.
  std::vector<ValueId> same_as;

 private:
  /// A single id's gradient and a sum's are that of the output: where no later node or shard takes its memory, a
  /// table's update reads its rows as fast as those of a copy.
  void keep_gradients_in_place();
};

}  // namespace mtrank::cuda
