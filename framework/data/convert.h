#pragma once

#include <string>

#include "framework/data/dataset.h"
#include "framework/data/mtb_file.h"

namespace mtrank {

struct ConvertOptions {
  std::string out;  ///< not there yet, or an empty directory
  int threads = 1;  ///< changes nothing but the time
  uint64_t shard_bytes = MtbWriter::kShardBytes;
};

/// Writes all parts of a config as `.mtb` files: the rows, blocks and order of Dataset, so that training from them
/// gives the same bits. `out` is complete or not there. Raw files are read twice where there is something to learn,
/// else once; what the cache has is not read at all. Throws ConfigError, DataError, ResourceError.
void convert(DatasetSpec spec, const ConvertOptions& options, const Dataset::Log& log = {});

}  // namespace mtrank
