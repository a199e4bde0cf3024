#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/core/tensor.h"
#include "framework/core/thread_pool.h"
#include "framework/embedding/buffer.h"
#include "framework/embedding/optimizer.h"
#include "framework/graph/graph.h"

namespace mtrank {

/// What the optimiser remembers of a table: [rows, dim], or [rows] where it keeps one number a row.
struct TableState {
  std::string_view name;
  SlotShape shape;
  FloatBuffer values;
};

/// An embedding table with its optimiser's state, both updated in place by SparseUpdate.
class EmbeddingTable {
 public:
  /// `l2` pulls the rows that a batch touched towards 0. Throws ResourceError when there is no memory.
  EmbeddingTable(std::string name, int64_t rows, int64_t dim, OptimizerSettings optimizer, double l2 = 0);

  /// Draws the weights from (seed, "init", name) and sets the state to where it starts.
  void initialize(ThreadPool& pool, const WeightInit& init, uint64_t seed);

  const std::string& name() const { return name_; }
  int64_t rows() const { return rows_; }
  int64_t dim() const { return dim_; }
  int64_t size() const { return rows_ * dim_; }
  const OptimizerSettings& optimizer() const { return optimizer_; }
  double l2() const { return l2_; }
  /// Rows that no id names move as well: Adam that is not lazy.
  bool moves_every_row() const;

  float* weights() const { return weights_.data(); }  // [rows, dim]
  View view() const { return {.data = weights(), .rows = rows_, .cols = dim_, .ld = dim_}; }
  /// In the order of the optimiser's slots, those it needs.
  std::span<const TableState> state() const { return state_; }
  /// For kernels: by the number of the optimiser's slot, from row `row` on.
  SlotPointers slots(int64_t row = 0) const;

  /// Bytes of weights and state that such a table takes.
  static int64_t bytes(int64_t rows, int64_t dim, const OptimizerSettings& optimizer);

 private:
  std::string name_;
  int64_t rows_, dim_;
  OptimizerSettings optimizer_;
  double l2_;
  FloatBuffer weights_;
  std::vector<TableState> state_;
  std::vector<int> slot_of_state_;
};

}  // namespace mtrank
