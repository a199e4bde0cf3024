#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "framework/core/tensor.h"
#include "framework/core/thread_pool.h"
#include "framework/embedding/row_index.h"
#include "framework/embedding/row_sums.h"
#include "framework/embedding/table.h"

namespace mtrank {

/// What is known of a step's table gradients before any table changes.
struct SparseCheck {
  float largest = 0;    ///< |gradient| of a pooled embedding; NaN when one is
  int feature = -1;     ///< of the features given: the first whose gradients are not finite or too large; -1: none
  int64_t sample = -1;  ///< and its first such row of the batch
  bool ok() const { return feature < 0; }
};

/// The update of all tables in a step.   g_row = Σ weight * (gradient of the pooled embedding) over the row's lookups;
/// then the table's optimiser. A touched row and its state are read once and written once. The bits depend on the batch
/// and the number of logical shards alone (row_sums.h says in which order sums are taken).
///
///     update.prepare(pool, batch, ids);              // needs the ids alone
///     if (update.check(pool, gradients).ok()) update.apply(pool, gradients, schedule_factor, step);
class SparseUpdate {
 public:
  /// Feature f looks up tables[table_of[f]]. `logical_shards` is a power of two; shard s owns rows
  /// [batch * s / V, batch * (s + 1) / V).
  SparseUpdate(std::vector<EmbeddingTable*> tables, std::vector<int> table_of, int logical_shards);

  /// Sorts the lookups of the whole global batch by row. `ids` by feature; they need not outlive the call.
  void prepare(ThreadPool& pool, int64_t batch, std::span<const IdsView> ids);

  /// Finite, and small enough that no sum of them and no square of a sum overflows.
  SparseCheck check(ThreadPool& pool, std::span<const View> gradients) const;

  /// Moves the tables. gradients[f] is [batch, dim], scaled by the pooling; each table's learning rate is multiplied by
  /// `lr_factor`; `step` counts from 1.
  void apply(ThreadPool& pool, std::span<const View> gradients, double lr_factor, int64_t step);

  /// Of the prepared batch.
  const RowIndex& index(int table) const { return per_table_[static_cast<size_t>(table)].index; }

 private:
  struct HotRow {
    int64_t row;   // its number among the touched rows
    int64_t part;  // of its first shard, in parts_
    std::vector<int> shards;
    std::vector<int64_t> begin;  // of the shards' lookups, and the end of the last
  };
  struct PerTable {
    EmbeddingTable* table;
    std::vector<int> features;
    RowIndex index;
    std::vector<IdsView> ids;
    std::vector<View> gradients;
    std::vector<int64_t> cuts;  // of the touched rows into tasks
    std::vector<HotRow> hot;
    size_t hot_count = 0;  // hot keeps its memory
    float limit = 0;       // of |gradient|
    OptimizerStep step, untouched_step;
    RowLookups lookups;
  };
  enum class TaskKind : uint8_t { touched, untouched };
  struct Task {
    int table;
    TaskKind kind;
    int64_t begin, end;  // touched rows by number; or rows of the table
  };
  struct HotPart {
    int table;
    size_t hot, shard;
  };
  struct Scratch {
    std::vector<float> sums;
    std::vector<const float*> gradients;
  };

  void set_shards(int64_t batch);
  void prepare_table(PerTable& t, std::span<const IdsView> ids);
  void cut_into_tasks(PerTable& t);
  void add_hot_row(PerTable& t, int64_t row);
  void plan_tasks();
  void bind(std::span<const View> gradients, double lr_factor, int64_t step);
  void sum_hot_part(const HotPart& part);
  void update_touched(PerTable& t, int64_t begin, int64_t end, Scratch& scratch);
  void update_untouched(const PerTable& t, int64_t begin, int64_t end);

  std::vector<PerTable> per_table_;
  std::vector<int> table_of_;
  const int shards_;
  int64_t batch_ = -1;
  std::vector<uint16_t> shard_;  // by sample
  std::vector<Task> tasks_;
  std::vector<HotPart> hot_parts_;
  std::vector<float> parts_;
  std::vector<Scratch> scratch_;  // by thread
};

}  // namespace mtrank
