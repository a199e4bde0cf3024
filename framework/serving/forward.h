#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "framework/core/thread_pool.h"
#include "framework/data/binder.h"
#include "framework/graph/runner.h"

namespace mtrank {

/// Runs a forward-only graph on batches, on some device.
class ForwardPass {
 public:
  virtual ~ForwardPass() = default;

  /// To be called whenever the weights have changed.
  virtual void refresh(ThreadPool& pool) = 0;
  /// scores [outputs][rows of the batch], in the order of the graph's outputs.
  virtual void run(ThreadPool& pool, const Batch& batch, std::vector<std::vector<float>>& scores) = 0;
  virtual const Graph& graph() const = 0;

  /// Which output has that name, or -1.
  int output(const std::string& name) const;
};

/// On the CPU: what evaluation, prediction and serving share. Rows are cut into blocks that threads take; every row's
/// scores depend on that row alone, so neither the blocks nor the batch matter.
class Forward : public ForwardPass {
 public:
  /// `params` and `tables` in the order of the graph's, alive as long as this is.
  Forward(Graph graph, const InputSchema& schema, std::vector<View> params, std::vector<View> tables, int threads);

  /// Packs the weights.
  void refresh(ThreadPool& pool) override;
  void run(ThreadPool& pool, const Batch& batch, std::vector<std::vector<float>>& scores) override;
  const Graph& graph() const override { return plan_.graph; }

  /// Rows that a thread scores at a time.
  static constexpr int64_t kBlock = 256;

 private:
  struct Worker {
    std::byte* arena;
    Scratch scratch;
    std::vector<View> inputs;
    std::vector<IdsView> ids;
  };
  void run_block(Worker& worker, const Batch& batch, int64_t first, std::vector<std::vector<float>>& scores);

  Plan plan_;
  BatchBinder binder_;
  std::vector<View> params_, tables_;
  Scratch memory_;
  std::byte* packed_ = nullptr;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace mtrank
