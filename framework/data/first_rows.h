#pragma once

#include <string>
#include <vector>

#include "framework/data/reader.h"
#include "framework/data/transforms.h"

namespace mtrank {

/// The first rows of some files that a model with these transforms can score, as they stand there: `count` of them, or
/// all. Of the columns that scoring needs, in the order of a RowEncoder. Throws DataError when a file cannot be read.
std::vector<std::vector<std::string>> first_rows(const std::vector<std::string>& files, const ReadOptions& read,
                                                 const FeatureTransforms& transforms, size_t count);

}  // namespace mtrank
