#pragma once

#include <map>
#include <string>
#include <vector>

#include "framework/data/batch.h"

namespace mtrank {

struct Config;
class ThreadPool;

/// How ids are drawn from the rows of a table: Zipf with this exponent, scattered over the table; a share `hot` of them
/// is replaced by row 0.
struct IdLaw {
  double exponent = 1.05;  ///< 0: uniform
  double hot = 0;
};

/// Batches of a config's shapes without its data: what `mtrank bench` steps on. Ids are Zipf(1.05) over the rows of
/// their table, or as `law` says; lists have the feature's `length`, else `max_len`, else 10 ids; numbers are uniform
/// in [0, 1); one label in twenty is positive. A function of the config's seed.
class SyntheticBatches {
 public:
  /// `rows` of every table, by name. With a pool, a batch a task.
  SyntheticBatches(const Config& config, const std::map<std::string, int64_t>& rows, int64_t batch_size, int count,
                   const IdLaw& law = {}, ThreadPool* pool = nullptr);

  const InputSchema& schema() const { return schema_; }
  const std::vector<Batch>& batches() const { return batches_; }

  /// Ids a row of every feature that has a table, by name.
  static std::map<std::string, double> list_lengths(const Config& config);

 private:
  InputSchema schema_;
  std::vector<Batch> batches_;
};

/// Fills a batch of `batch.rows` with the values of batch `number`. A function of the config's seed, the number and the
/// place in the batch.
void fill_synthetic(const Config& config, const InputSchema& schema, int64_t number, Batch& batch,
                    const IdLaw& law = {});

}  // namespace mtrank
