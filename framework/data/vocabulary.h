#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "framework/data/value_map.h"

namespace mtrank {

/// The values a table knows, and the row of each: the values in order of their bytes have rows 1, 2, ...; row 0 is
/// shared by all values that are not in it. Immutable.
class Vocabulary {
 public:
  Vocabulary() = default;
  /// `values` strictly ascending by bytes. Throws FileError when they are not.
  explicit Vocabulary(const std::vector<std::string_view>& values);
  /// What `bytes()` and `offsets()` gave. Throws FileError when they do not fit together.
  Vocabulary(std::string_view bytes, const std::vector<int64_t>& offsets);

  int64_t rows() const { return static_cast<int64_t>(map_.size()) + 1; }
  /// 0 for an unseen value. The value must have kValuePadding readable bytes behind it.
  MTRANK_INLINE int64_t row(std::string_view value) const { return map_.find(value) + 1; }
  MTRANK_INLINE int64_t row_short(uint64_t packed, size_t size) const { return map_.find_short(packed, size) + 1; }
  /// The value of a row above 0.
  std::string_view value(int64_t row) const { return map_.value(static_cast<size_t>(row - 1)); }
  size_t memory() const { return map_.bytes(); }

  /// What `bytes()` and `offsets()` take.
  size_t file_memory() const { return map_.value_bytes() + 8 * static_cast<size_t>(rows()); }

  /// For files: all values end to end, and where each begins (one more offset than values).
  std::string bytes() const;
  std::vector<int64_t> offsets() const;

 private:
  void add_ascending(std::string_view value);
  ValueMap map_;
};

}  // namespace mtrank
