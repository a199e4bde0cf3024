#pragma once

#include <map>
#include <string>

#include "framework/data/dataset.h"

namespace mtrank {

struct SynthLikeOptions {
  int64_t rows = 1'000'000;  ///< of the training part; the others have a tenth
  std::string out;           ///< not there yet, or an empty directory
  int threads = 1;           ///< changes nothing but the time
};

/// The data of a config whose tables have so many rows, by name.
DatasetSpec synthetic_spec(const Config& config, const std::map<std::string, int64_t>& rows);

/// Writes `.mtb` files of a config's shapes, with the values of SyntheticBatches: what benchmarks read. The parts that
/// the config has; a block at a time, so memory does not grow with `rows`. Vocabularies hold made-up values, and there
/// are no raw rows for a bundle to show. `table_rows` of every table, by name. A function of the config's seed.
/// Throws ConfigError, ResourceError.
void synth_like(const Config& config, const std::map<std::string, int64_t>& table_rows,
                const SynthLikeOptions& options);

}  // namespace mtrank
