#pragma once

#include <memory>
#include <string>
#include <vector>

#include "framework/data/row_encoder.h"
#include "framework/data/scan.h"

namespace mtrank {

/// Whatever a constant column is elsewhere stays what it is, instead of being divided by next to nothing.
constexpr double kConstantDeviation = 1;

/// What the transforms must learn from the training rows.
struct Statistics {
  std::vector<std::shared_ptr<const Vocabulary>> vocabularies;  ///< by table; null for those that need none
  std::vector<std::vector<double>> mean, deviation;             ///< by feature and column; empty without zscore
  int64_t memory = 0;  ///< bytes that collecting them took, at most; 0 where they come from a file
};

/// Whether there is anything to learn.
bool needs_statistics(const FeatureTransforms& transforms);

/// One pass over the training rows (after split and sample; rows that cannot be encoded are left out). A vocabulary
/// takes every token of its features' values, those beyond `max_len` too, but not the empty tokens of lists. Deviations
/// are of the population, plus 1e-6; of a column that is the same in all rows kConstantDeviation. The result does not
/// depend on the number of threads.
Statistics collect_statistics(const std::vector<std::string>& files, const ReadOptions& options,
                              const FeatureTransforms& transforms, const RowSpec& rows, BadRowPolicy policy,
                              int threads);

/// Columns of a learned feature, normalized by `zscore`, that are the same in all training rows.
std::vector<std::string> constant_columns(const FeatureTransform& feature);

/// Whether they have what the transforms must learn, by number of tables and features.
bool fits(const Statistics& statistics, const FeatureTransforms& transforms);

/// Puts what was learned into the transforms.
void apply_statistics(const Statistics& statistics, FeatureTransforms& transforms);

/// For the cache. Parsing throws FileError.
std::string statistics_to_bytes(const Statistics& statistics);
Statistics statistics_from_bytes(const std::string& bytes, const std::string& source);

}  // namespace mtrank
