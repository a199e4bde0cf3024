#pragma once

#include <string>

namespace mtrank {

class SafetensorsReader;

/// One line a tensor: name, type, shape, bytes; and their sum.
std::string describe_tensors(const SafetensorsReader& file);

}  // namespace mtrank
