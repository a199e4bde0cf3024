#pragma once

#include <span>

#include "framework/graph/plan.h"

namespace mtrank {

/// What a plan's values are bound to while it runs on the CPU. Views of inputs and sparse gradients begin at the first
/// row of the call.
struct Bindings {
  std::span<const View> params;
  std::span<const View> param_gradients;
  std::span<const View> inputs;
  std::span<const IdsView> ids;
  std::span<const View> scalars;
  std::span<const View> tables;
  std::span<const View> sparse_gradients;
  std::span<double> losses;
  const std::byte* packed = nullptr;
  double* node_seconds = nullptr;  ///< by node: the time it took is added, where not null
};

/// One run of consecutive rows: a logical shard, or a batch to score.
struct Rows {
  int64_t count = 0;
  uint64_t first_sample = 0;  ///< number of the first row in the sequence of all samples
  /// Add to the dense gradients instead of writing them. Needs plan.single_writers.
  bool add_gradients = false;
};

/// Runs nodes [begin, end) of the plan on the calling thread. `arena` holds plan.arena_bytes, 64-byte aligned.
void run_nodes(const Plan& plan, size_t begin, size_t end, const Bindings& bindings, const Rows& rows,
               const StepInfo& step, std::byte* arena, Scratch& scratch);

/// Runs the plan node by node and names the first one that wrote something `is_finite` refuses, -1 when there is none.
int64_t first_nonfinite(const Plan& plan, const Bindings& bindings, const Rows& rows, const StepInfo& step,
                        std::byte* arena, Scratch& scratch, bool (*is_finite)(const View&));

/// Fills `packed` (plan.packed_bytes) with part `part` of plan.packed: one weight.
void pack_weight(const Plan& plan, size_t part, std::span<const View> params, std::byte* packed);

}  // namespace mtrank
