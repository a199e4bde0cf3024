#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "cuda/call.h"
#include "cuda/device.h"
#include "cuda/embedding/sparse_update.h"
#include "cuda/fusion.h"
#include "cuda/graph.h"
#include "cuda/memory.h"
#include "cuda/model.h"
#include "cuda/products.h"
#include "cuda/runner.h"
#include "cuda/staging.h"
#include "cuda/updates.h"
#include "framework/embedding/accelerator.h"
#include "framework/graph/plan.h"

namespace mtrank::cuda {

/// What a job computes, and where everything it needs will lie: made without a device.
class JobPlan {
 public:
  explicit JobPlan(const AcceleratorJob& job);

  const AcceleratorJob& job;
  Fusions fusions;  ///< of the training plan
  Plan training, scoring;
  DeviceModel model;
  DeviceMemory lasting;  ///< weights, state, gradients
  size_t stopped_at;     ///< a word of it: see verdict()

  std::vector<IdsRoom> training_room, scoring_room;  ///< by id input of the plans
  std::vector<DeviceTable> tables;                   ///< without addresses
  std::vector<int> table_of, ids_of;                 ///< by sparse gradient: its table, its place among the plan's ids
};

/// What a batch's size decides: staging, activations, sorted ids. Made again, larger, for a batch that does not fit.
class Workspace {
 public:
  /// Lays everything out.
  explicit Workspace(const JobPlan& plan);
  /// Takes the memory and binds all of it.
  void allocate(const JobPlan& plan, cudaStream_t stream);
  /// The ids of a slot, by feature.
  std::vector<DeviceIds> looked_up(const JobPlan& plan, int slot) const;

  StagedLayout training_layout, scoring_layout;
  Slot slots[Accelerator::kDepth], scoring_slot;
  DeviceMemory memory;
  std::vector<DeviceFeature> features;  ///< by sparse gradient
  std::vector<DeviceView> pooled;
  std::optional<SparseUpdate> sparse;
  std::optional<Runner> runners[Accelerator::kDepth], scorer;
  std::optional<Products> products;
  std::byte *arena = nullptr, *scratch = nullptr;
  double *norms = nullptr, *losses = nullptr;  ///< losses lie behind the outcome
  Outcome* outcome = nullptr;
  Captured graphs[Accelerator::kDepth];  ///< one a slot: captured arguments never change
  bool warm[Accelerator::kDepth] = {};   ///< a step ran eagerly: the products have their algorithms

 private:
  size_t arena_at_ = 0, sparse_at_ = 0, scratch_at_ = 0, blas_at_ = 0, norms_at_ = 0, outcome_at_ = 0;
  std::vector<size_t> pooled_at_, signs_at_;
};

/// An Accelerator on one NVIDIA GPU.
///
/// A step: the batch goes to page-locked memory and, on a stream of its own, to one of two slots on the device, while
/// the step before still runs. Then one captured graph: ids are sorted on a side stream under the forward pass; losses,
/// gradients, norm, verdict, updates. No size known to the host alone, no wait, no allocation inside.
class Job : public Accelerator {
 public:
  explicit Job(AcceleratorJob job);
  ~Job() override;

  void upload() override;
  void download() override;
  void initialize() override;
  void submit(const HostBatch& batch, int64_t step, double lr_factor) override;
  void repeat(int64_t step, double lr_factor) override;
  AcceleratorStep collect() override;
  void score(const HostBatch& batch, std::span<float* const> scores) override;
  std::vector<float> gradient() override;
  AcceleratorProfile profile(const HostBatch& batch, int64_t step) override;
  std::vector<AcceleratorRegion> memory() const override;
  std::string environment() const override { return device_.describe(); }
  std::string algorithms() const override;

 private:
  class Timer;

  void make_workspace();
  void make_room(const HostBatch& batch, const StagedLayout& layout, std::vector<IdsRoom>& rooms);
  Context context(const DeviceStep* step);
  void stage(int slot, const HostBatch& batch, int64_t step, double lr_factor);
  void set_control(int slot, int64_t step, double lr_factor);
  void copy_to_device(int slot, size_t bytes);
  int take_slot();
  void start(int slot);
  void launch_step(int slot, Timer* timer);
  void run_step(int slot);
  Outcome* outcome(int slot) const { return results_.at<Outcome>(static_cast<size_t>(slot) * result_bytes_); }

  AcceleratorJob job_;
  Device device_;
  JobPlan plan_;
  Stream stream_, side_, copies_;
  Event forked_, sorted_, copied_[kDepth], begun_[kDepth]{Event(true), Event(true)};
  Event done_[kDepth + 1]{Event(true), Event(true), Event(true)};  ///< by step: the one before is still wanted
  std::unique_ptr<Workspace> work_;
  PinnedMemory results_, scores_;
  size_t result_bytes_;
  std::deque<int> under_way_;  ///< slots
  int next_slot_ = 0;
  int64_t started_ = 0;  ///< steps
};

}  // namespace mtrank::cuda
