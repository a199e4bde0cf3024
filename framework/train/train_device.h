#pragma once

#include <map>
#include <memory>
#include <string>

#include "framework/config/config.h"
#include "framework/core/thread_pool.h"
#include "framework/embedding/accelerator.h"
#include "framework/serving/forward.h"
#include "framework/train/memory_plan.h"
#include "framework/train/model_state.h"
#include "framework/train/step.h"
#include "framework/train/train_setup.h"

namespace mtrank {

/// Where a job's steps and evaluations run. The host's ModelState is what files are read into and written from; on an
/// accelerator the weights that train are a copy of it.
class TrainDevice {
 public:
  virtual ~TrainDevice() = default;

  /// Draws every weight and resets the optimisers.
  virtual void initialize(uint64_t seed) = 0;
  /// The host's weights and state have changed.
  virtual void upload() = 0;
  /// Brings them up to date on the host. No step is under way.
  virtual void download() = 0;

  /// Starts step `step`, which counts from 1. May take the batch's memory and leave other memory in it.
  virtual void submit(Batch& batch, int64_t step, double lr_factor) = 0;
  /// Waits for the oldest step that was submitted and not collected. Throws NonFiniteError naming layer, task and
  /// samples; then neither that step nor a later one has changed anything.
  virtual StepResult collect() = 0;
  /// No step follows: gives back what steps alone need. All are collected.
  virtual void end_steps() {}
  /// How many steps may be under way.
  virtual int depth() const = 0;

  virtual ForwardPass& forward() = 0;
  /// What the log calls it: "cpu", "cuda".
  virtual std::string name() const = 0;
  /// JSON of the device, its driver and libraries; empty for the CPU.
  virtual std::string environment() const = 0;
  /// JSON of the algorithms that its libraries have chosen so far; empty for the CPU.
  virtual std::string algorithms() const = 0;
};

/// What a device is made for. Everything lives as long as it does.
struct TrainJob {
  const Config& config;
  const Graphs& graphs;
  const InputSchema& schema;
  ModelState& state;
  ThreadPool& pool;
  int64_t logical_shards;
  const std::map<std::string, double>& ids_per_row;  ///< by feature, as DataSize has them
  LaunchOptions launch = {};
};

/// Whether train.device asks for an accelerator: `auto` does where there is one. Throws ConfigError where it asks for
/// one that the build has not, or for a precision that the device has not; ResourceError without a usable GPU.
bool wants_accelerator(const Config& config);

/// The device that train.device asks for. Throws ConfigError, ResourceError.
std::unique_ptr<TrainDevice> open_train_device(const TrainJob& job);

}  // namespace mtrank
