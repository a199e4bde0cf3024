#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "framework/serving/safetensors.h"

namespace mtrank {

/// The format's own limit.
constexpr uint64_t max_safetensors_header = 100'000'000;

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<TensorEntry> tensors;  ///< with the padding, in the order of their bytes
};

/// Parses the JSON text and checks it: the fields of every entry, no name twice, the size of each tensor against its
/// shape, the tensors next to each other from 0 to `data_size`. Memory stays proportional to the text.
/// Throws FileError naming `path` and the field.
SafetensorsHeader parse_safetensors_header(const std::string& path, std::string_view text, uint64_t data_size);

/// `F32`
std::string_view safetensors_dtype(DType dtype);

}  // namespace mtrank
