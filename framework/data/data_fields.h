#pragma once

#include <string>
#include <vector>

#include "framework/data/dataset.h"

namespace mtrank {

/// One thing that encoded rows depend on: a feature, a table, a label, a key of `data`.
struct DataField {
  std::string name;   ///< as the config calls it: "features.watched"
  std::string value;  ///< JSON
};

/// Everything but the files that decides what encoded rows and statistics hold. Of transforms that have learned
/// nothing yet.
std::vector<DataField> data_fields(const DatasetSpec& spec);

/// The first field that differs, with both values: "features.watched.max_len: 50, now 20"; "" when all are equal.
std::string first_difference(const std::vector<DataField>& before, const std::vector<DataField>& after);

}  // namespace mtrank
