#pragma once

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "framework/core/thread_pool.h"
#include "framework/data/binder.h"
#include "framework/embedding/sparse_update.h"
#include "framework/graph/runner.h"
#include "framework/train/model_state.h"
#include "framework/train/profile.h"
#include "framework/train/task_inputs.h"

namespace mtrank {

/// What a step reports.
struct StepResult {
  std::vector<double> loss;  ///< by task: Σ w l / Σ w over its rows, 0 when none
  double gradient_norm = 0;  ///< of the dense gradients, before clipping
  /// Seconds for which the device had nothing to do before this step. Infinite where that is all the time that the host
  /// spends elsewhere.
  double device_idle = std::numeric_limits<double>::infinity();
};

/// Copies of the dense gradients: a tree of `levels` for each of `subtrees`, which threads take.
struct GradientBuffers {
  int64_t subtrees = 1, levels = 1;
  int64_t count() const { return subtrees * levels; }
};
GradientBuffers gradient_buffers(int64_t logical_shards, int threads, bool single_writers);

/// The plan of the training graph for a logical shard: the largest of a batch.
Plan shard_plan(Graph training, const Config& config, int64_t logical_shards);

/// One training step on the CPU: shards -> tree -> finite flag -> updates.
///
/// The batch is cut into V logical shards; each runs forward and backward as one unit on one thread. Gradients are
/// folded by a binary tree over V: threads decide who computes which subtree, never the order of a sum. Weights and
/// tables change only after everything is known to be finite.
class TrainStep {
 public:
  /// `graph`: the training graph that `state` was made for. Throws ResourceError.
  TrainStep(const Config& config, Graph graph, const InputSchema& schema, ModelState& state, ThreadPool& pool,
            int logical_shards);

  /// `step` counts from 1; learning rates are multiplied by `lr_factor`.
  /// Throws NonFiniteError naming layer, task and samples when a loss or a gradient is not finite; nothing has changed
  /// then.
  StepResult run(const Batch& batch, int64_t step, double lr_factor);

  /// Until it is null again, steps add where their time goes.
  void set_profile(StepProfile* profile);

  const Plan& plan() const { return plan_; }
  /// The gradient of the last step, laid out as the weights are.
  const float* gradient() const { return subtrees_.front().front().data(); }
  /// By sparse gradient of the graph: of the pooled embeddings of the last step. [B, D]
  const std::vector<View>& pooled_gradients() const { return sparse_views_; }

 private:
  struct Worker {
    Scratch arena_memory, scratch;
    std::byte* arena = nullptr;
    std::vector<View> inputs, sparse, gradients;
    std::vector<IdsView> ids;
  };
  struct Fault {
    int64_t node = -1;  ///< none
    uint64_t first_sample = 0, last_sample = 0;
  };

  void bind(Worker& worker, const Batch& batch, int64_t first, float* gradient);
  Bindings bindings(const Worker& worker, double* losses, int thread = 0) const;
  std::pair<int64_t, int64_t> shard_rows(int64_t batch, int64_t shard) const;
  bool run_shard(const Batch& batch, int64_t shard, int thread, float* gradient, bool add);
  bool fold(const Batch& batch, int64_t first, int64_t count, size_t depth, std::vector<FloatBuffer>& buffers,
            int thread);
  void fold_subtrees();
  std::vector<double> total_losses() const;
  void check_finite(const Batch& batch, const std::vector<double>& losses, double norm_squared);
  // step_fault.cpp
  [[noreturn]] void explain(const Batch& batch, const std::vector<double>& losses, const SparseCheck& sparse);
  Fault find_fault(const Batch& batch);
  std::vector<std::string> tasks_at_fault(const Batch& batch);
  std::string sum_at_fault(const Batch& batch, const SparseCheck& sparse) const;

  const Config& config_;
  Plan plan_;
  ModelState& state_;
  ThreadPool& pool_;
  const int64_t shards_;
  int64_t subtree_count_ = 1;
  BatchBinder binder_;
  TaskInputs task_inputs_;
  SparseUpdate sparse_;
  std::vector<View> params_, tables_, sparse_views_;
  std::vector<FloatBuffer> sparse_memory_;
  std::vector<int> sparse_feature_ids_;  // by sparse gradient: position in plan_.ids
  Scratch packed_memory_;
  std::byte* packed_ = nullptr;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::vector<FloatBuffer>> subtrees_;  // by subtree: one gradient a level
  std::vector<uint8_t> subtree_used_;
  std::vector<double> shard_losses_;  // [V, losses]
  std::vector<uint8_t> shard_used_;
  StepInfo info_;
  StepProfile* profile_ = nullptr;
};

}  // namespace mtrank
