#pragma once

#include <memory>
#include <string>
#include <vector>

#include "framework/config/config.h"
#include "framework/core/thread_pool.h"
#include "framework/embedding/table.h"
#include "framework/graph/parameters.h"
#include "framework/serving/safetensors.h"
#include "framework/train/dense_optimizer.h"

namespace mtrank {

/// Everything that training changes: dense weights, tables, and what their optimisers remember.
class ModelState {
 public:
  /// Allocates for the weights and tables of `graph`. Throws ResourceError.
  ModelState(const Config& config, const Graph& graph);

  /// Draws every weight from (seed, "init", its name) and resets the optimisers.
  void initialize(ThreadPool& pool, uint64_t seed);

  const ParameterLayout& layout() const { return layout_; }
  float* weights() const { return weights_.data(); }
  DenseUpdate& dense() { return *dense_; }
  /// In the order of the graph's tables; named as in the config.
  const std::vector<std::unique_ptr<EmbeddingTable>>& tables() const { return tables_; }

  /// Views for a graph that has some of the same weights, by name.
  std::vector<View> params_of(const Graph& graph) const;
  std::vector<View> tables_of(const Graph& graph) const;

  /// What a bundle holds: the weights and tables that `graph` has.
  std::vector<TensorSource> weights_of(const Graph& graph) const;
  /// What a checkpoint holds: weights, tables, and the state of their optimisers.
  std::vector<TensorSource> everything() const;

 private:
  ParameterLayout layout_;
  FloatBuffer weights_;
  std::unique_ptr<DenseUpdate> dense_;
  std::vector<std::unique_ptr<EmbeddingTable>> tables_;
  std::vector<WeightInit> table_inits_;
};

}  // namespace mtrank
