#pragma once

#include <bit>
#include <memory>
#include <optional>
#include <vector>

#include "cuda/embedding/sparse_update.h"
#include "cuda/graph.h"
#include "cuda/job_plan.h"
#include "cuda/memory.h"
#include "cuda/products.h"
#include "cuda/runner.h"
#include "cuda/staging.h"
#include "cuda/updates.h"

namespace mtrank::cuda {

/// What a batch's size decides: staging, activations, sorted ids. Made again, larger, for a batch that does not fit.
class Workspace {
 public:
  /// Lays everything out, which needs no device.
  explicit Workspace(const JobPlan& plan);
  /// Takes the memory and binds all of it.
  void allocate(const JobPlan& plan, cudaStream_t stream);
  /// The ids of a slot, by feature.
  std::vector<DeviceIds> looked_up(const JobPlan& plan, int slot) const;

  /// Which of the model's gradients a shard's goes to: one behind those of the subtrees that are whole before it.
  static int gradient_of(int shard) { return std::popcount(static_cast<unsigned>(shard)); }

  StagedLayout training_layout, scoring_layout;
  Slot slots[Accelerator::kDepth], scoring_slot;
  DeviceMemory memory;
  std::vector<DeviceFeature> features;  ///< by sparse gradient
  std::vector<DeviceView> pooled;
  std::optional<SparseUpdate> sparse;
  std::vector<std::unique_ptr<Runner>> runners[Accelerator::kDepth];  ///< by logical shard
  std::optional<Runner> scorer;
  std::optional<Products> products;  ///< of all streams
  std::byte *arena = nullptr, *scratch = nullptr, *workspace = nullptr;
  std::optional<SideStream> side;  ///< for weight gradients
  double* norms = nullptr;
  ShardLosses losses;  ///< behind the outcome
  Outcome* outcome = nullptr;
  float* scores = nullptr;               ///< by output of the scoring graph: eval_batch each
  Captured graphs[Accelerator::kDepth];  ///< one a slot: captured arguments never change
  bool warm[Accelerator::kDepth] = {};   ///< a step ran eagerly: the products have their algorithms

 private:
  size_t arena_at_ = 0, sparse_at_ = 0, scratch_at_[2] = {}, blas_at_[2] = {}, norms_at_ = 0, outcome_at_ = 0,
         scores_at_ = 0;
  std::vector<size_t> pooled_at_, signs_at_;
};

/// Of the device's memory, what a job takes: what lasts, what a batch's size decides, and the driver's own.
std::vector<AcceleratorRegion> all_regions(const JobPlan& plan, const Workspace& work);
/// Throws ResourceError where that is more than the `free` bytes of `total`, with the largest regions and the batch
/// that would fit.
void require_room(const JobPlan& plan, const Workspace& work, size_t free, size_t total);

}  // namespace mtrank::cuda
