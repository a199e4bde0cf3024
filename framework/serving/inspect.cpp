#include "framework/serving/inspect.h"

#include <algorithm>
#include <cstdio>

#include "framework/serving/safetensors.h"

namespace mtrank {
namespace {

std::string bytes_text(uint64_t bytes) {
  char text[32];
  if (bytes < 10000) {
    std::snprintf(text, sizeof text, "%d B", static_cast<int>(bytes));
  } else {
    std::snprintf(text, sizeof text, "%.2f MiB", static_cast<double>(bytes) / 1048576);
  }
  return text;
}

std::string padded(std::string text, size_t width) {
  text.append(text.size() < width ? width - text.size() : 0, ' ');
  return text;
}

}  // namespace

std::string describe_tensors(const SafetensorsReader& file) {
  size_t name_width = 0, shape_width = 0;
  uint64_t total = 0;
  for (const TensorEntry& tensor : file.tensors()) {
    name_width = std::max(name_width, tensor.name.size());
    shape_width = std::max(shape_width, shape_text(tensor.shape).size());
    total += tensor.bytes();
  }
  std::string text = "tensors: " + std::to_string(file.tensors().size()) + ", " + bytes_text(total) + "\n";
  for (const TensorEntry& tensor : file.tensors()) {
    text += "  " + padded(tensor.name, name_width) + "  " + padded(std::string(dtype_name(tensor.dtype)), 4) + "  " +
            padded(shape_text(tensor.shape), shape_width) + "  " + bytes_text(tensor.bytes()) + "\n";
  }
  return text;
}

}  // namespace mtrank
