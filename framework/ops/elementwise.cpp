#include "framework/ops/elementwise.h"

#include "framework/core/error.h"

namespace mtrank {

int64_t common_width(const char* op, std::span<const Value> values) {
  const int64_t width = values.front().cols;
  for (const Value& value : values)
    if (value.cols != width)
      throw ShapeError(std::string(op) + " needs inputs of one width, found " + std::to_string(width) + " and " +
                       std::to_string(value.cols) + " columns");
  return width;
}

}  // namespace mtrank
