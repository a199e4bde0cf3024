#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "framework/config/config.h"
#include "framework/data/dataset.h"
#include "framework/graph/plan.h"

namespace mtrank {

/// What a job's data takes, and what its batches look like.
struct DataSize {
  int64_t window_bytes = 0;  ///< encoded rows that are loaded at a time
  int64_t listed_rows = 0;   ///< of them, an address each
  int64_t stored_bytes = 0;  ///< encoded rows that stay in memory because there is no cache
  int64_t vocabulary_bytes = 0;
  int64_t exported_bytes = 0;  ///< what vocabularies take besides while the bundle is written
  int64_t learning_bytes = 0;  ///< at most, while vocabularies and means are learned; 0 where they are in the cache
  int64_t eval_rows = 0;       ///< of the largest evaluated part
  std::map<std::string, double> ids_per_row;  ///< by feature that has a table; 1 where it is missing
};
/// Rows of a batch that is evaluated.
int64_t eval_batch_size(const Config& config);
DataSize data_size(const Config& config, const Dataset& data);

/// How a job is laid out over threads.
struct JobSize {
  int threads = 1;
  int logical_shards = 1;
  DataSize data;
  bool accelerated = false;  ///< steps and scores run elsewhere: the host holds weights, state and batches
};

/// Predicted memory of a training job, by what it is for. Made before any weights are allocated. Data that is read for
/// the first time is given back before training, so the larger of the two counts.
struct MemoryPlan {
  struct Region {
    std::string what;
    int64_t bytes;
  };
  std::vector<Region> regions;  ///< while training
  int64_t first_read = 0;       ///< before that, while vocabularies are learned; 0 where they are in the cache
  int64_t training() const;
  /// The peak.
  int64_t total() const { return std::max(training(), first_read); }
};

/// `training` and `scoring`: plans of the job's graphs, made with the capacities that the job uses.
MemoryPlan plan_memory(const Config& config, const Plan& training, const Plan& scoring, const JobSize& size);

/// What a layer or table of the model holds and costs.
struct LayerSize {
  std::string name;
  int64_t parameters = 0;
  int64_t weights = 0;      ///< bytes, the rest too
  int64_t state = 0;        ///< of its optimiser
  int64_t gradients = 0;    ///< one copy; of a table: of the pooled embeddings of a batch
  int64_t activations = 0;  ///< values and their gradients in one shard, before they share memory
  double flops = 0;         ///< a sample, forward and backward
  double bytes = 0;         ///< a sample, weights left out
};
std::vector<LayerSize> table_sizes(const Config& config, const Plan& training, const JobSize& size);
/// "embedding" is the lookups.
std::vector<LayerSize> layer_sizes(const Config& config, const Plan& training, const JobSize& size);

/// What this job may take: train.memory, or what the machine and the control group leave.
int64_t memory_budget(const Config& config);
/// Throws ResourceError with the numbers when the plan does not fit.
void require_memory(const MemoryPlan& plan, int64_t budget);

/// "1.50 GiB".
std::string bytes_text(int64_t bytes);

}  // namespace mtrank
