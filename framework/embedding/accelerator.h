#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "framework/core/tensor.h"
#include "framework/core/thread_pool.h"
#include "framework/embedding/optimizer.h"
#include "framework/embedding/table.h"
#include "framework/graph/graph.h"
#include "framework/graph/parameters.h"

/// What stands between the trainer and a device that has memory of its own. This header is all that the rest of the
/// product knows of CUDA: whether a build has it is decided by what is linked.
namespace mtrank {

/// A model's weights and what its optimisers remember, on the host.
struct HostModel {
  const ParameterLayout* layout = nullptr;
  float* weights = nullptr;             ///< laid out as `layout` says
  SlotPointers slots{};                 ///< of the dense optimiser, by number of its slot; null where it has none
  std::vector<EmbeddingTable*> tables;  ///< in the order of the training graph's tables
};

/// What a batch's ids of one feature are given room for. A batch that needs more is slower once: room is made for it.
struct IdsRoom {
  std::string name;   ///< of the graphs' value
  bool list = false;  ///< false: one id a row
  bool weighted = false;
  double per_row = 1;  ///< list: ids a row, on the average of a batch
};

/// Which matrix products of the backward pass also mask by a ReLU or sum a bias's gradient, as far as the library can.
enum class BackwardEpilogues : uint8_t {
  same_kernel,  ///< those that it does with the kernels it would take without
  always,
  never,
};

/// How the kernels of a step are launched: the same bits either way, but for products that the library does with
/// another algorithm when something is fused into them.
struct LaunchOptions {
  BackwardEpilogues epilogues = BackwardEpilogues::same_kernel;
  bool graph = true;    ///< replay a captured graph; false: launch every kernel every time
  bool overlap = true;  ///< several streams; false: one kernel after the other
  bool fuse = true;     ///< ReLUs', biases' and gates' ops in other kernels, losses in one launch; false: for tests
};

/// What a job asks of an accelerator. What it points to lives as long as the accelerator.
struct AcceleratorJob {
  Graph training, scoring;
  HostModel model;
  const OptimizerSettings* dense_optimizer = nullptr;
  DType dtype = DType::f32;         ///< of activations and weight copies: f32 or bf16
  bool tf32 = false;                ///< products of f32 in TF32
  int64_t batch = 0;                ///< most rows of a step
  int shards = 1;                   ///< logical shards of a step, a power of two: one runs after the other
  int64_t eval_batch = 0;           ///< most rows of a call of `score`
  std::vector<IdsRoom> ids;         ///< by name: every feature that a graph looks up
  std::optional<double> clip_norm;  ///< of the dense gradients
  ThreadPool* pool = nullptr;       ///< copies batches to where the device takes them from
  uint64_t seed = 0;                ///< of dropout and initial weights
  LaunchOptions launch;
};

/// A batch on the host; need not outlive the call it is given to. In the order of a plan's inputs, ids and scalars.
struct HostBatch {
  int64_t rows = 0;
  uint64_t first_sample = 0;
  std::span<const View> inputs;  ///< f32
  std::span<const IdsView> ids;
  std::span<const View> scalars;  ///< one double each
};

/// What a step reports. Where it is not finite, that step and those submitted after it changed nothing.
struct AcceleratorStep {
  std::vector<double> loss;  ///< by loss of the graph, as the graph scales it
  double norm_squared = 0;   ///< of the dense gradients, before clipping
  bool finite = true;
  double idle_seconds = 0;  ///< between the step before and this one: the device waited for the host or for the batch
};

/// What a device need not do of a graph.
struct SparedWork {
  std::vector<uint8_t> fused;     ///< by node: it became a part of another, and costs nothing
  std::vector<ValueId> in_place;  ///< values that are what they are made from: nothing is written
};

/// Seconds a step by node of the training graph, and by phase (what is no node: copies, sort, updates). Where one
/// launch does several nodes' work, the first loss or the mixture has its time.
struct AcceleratorProfile {
  std::vector<double> node_seconds;
  SparedWork spared;
  std::vector<std::pair<std::string, double>> phases;
};

struct AcceleratorRegion {
  std::string what;
  int64_t bytes = 0;
};

/// A device that trains and scores a model.
class Accelerator {
 public:
  virtual ~Accelerator() = default;

  /// The host's weights and state to the device, and back. `download` waits for all steps.
  virtual void upload() = 0;
  virtual void download() = 0;
  /// Draws every weight on the device, with the numbers that the host would draw, and resets the optimisers.
  virtual void initialize() = 0;

  /// Starts step `step` (from 1 on; learning rates are multiplied by `lr_factor`) and returns once the batch is copied:
  /// the device works while the host prepares the next one. At most kDepth steps may be under way.
  virtual void submit(const HostBatch& batch, int64_t step, double lr_factor) = 0;
  /// Submits a batch that is on the device already: the one of kDepth submissions ago. For benchmarks.
  virtual void repeat(int64_t step, double lr_factor) = 0;
  /// Waits for the oldest step that was submitted and not collected.
  virtual AcceleratorStep collect() = 0;
  static constexpr int kDepth = 2;

  /// By output of the scoring graph: its scores, `rows` floats each.
  virtual void score(const HostBatch& batch, std::span<float* const> scores) = 0;

  /// The gradients of the last step, for tests: laid out as the weights are.
  virtual std::vector<float> gradient() = 0;

  /// Times every node and phase of a step on this batch; changes weights as steps do.
  virtual AcceleratorProfile profile(const HostBatch& batch, int64_t step) = 0;

  /// What it took of the device's memory.
  virtual std::vector<AcceleratorRegion> memory() const = 0;
  /// JSON of what decides bits: the device, its driver and libraries.
  virtual std::string environment() const = 0;
  /// JSON list of the matrix products run so far and the algorithms chosen for them.
  virtual std::string algorithms() const = 0;
};

/// Whether this build can have one.
bool accelerator_built();
/// False where this machine has none that can be used; `why` says so in one line.
bool accelerator_present(std::string* why);
/// What the build has of it and what the machine has, by name, for people.
std::vector<std::pair<std::string, std::string>> accelerator_facts();
/// What a job would take, without a device.
std::vector<AcceleratorRegion> plan_accelerator(const AcceleratorJob& job);
/// Throws ConfigError in a build without one, ResourceError where there is no usable device, or, with the plan's
/// numbers and what would fit, too little of its memory.
std::unique_ptr<Accelerator> open_accelerator(AcceleratorJob job);

}  // namespace mtrank
