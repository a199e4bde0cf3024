#pragma once

#include <deque>
#include <memory>

#include "cuda/device.h"
#include "cuda/workspace.h"

namespace mtrank::cuda {

/// An Accelerator on one NVIDIA GPU.
///
/// A step: the batch goes to page-locked memory and, on a stream of its own, to one of two slots on the device, while
/// the step before still runs. Then one captured graph: ids are sorted on a stream of their own under the forward pass;
/// losses, gradients, those of weights beside those of inputs, norm, verdict, updates. No size known to the host alone,
/// no wait, no allocation inside.
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
  Context context(const DeviceStep* step) const;
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
  const size_t available_;  ///< bytes, before this job takes any
  JobPlan plan_;
  Stream stream_, sorting_, copies_;
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
