#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "framework/data/reader.h"
#include "framework/data/row_spec.h"

namespace mtrank {

/// Tells apart whatever can change what is made from some files: their paths, sizes and times, how they are read, the
/// transforms (as JSON), the rows' other parts, and `purpose`.
uint64_t cache_key(const std::vector<std::string>& files, const ReadOptions& options, const std::string& transforms,
                   const RowSpec& rows, const std::string& purpose);

}  // namespace mtrank
