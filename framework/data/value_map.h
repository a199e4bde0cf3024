#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "framework/data/value_hash.h"

namespace mtrank {

/// A set of values (bytes), numbered in the order they came in. Values of up to 7 bytes are their own key, longer ones
/// are found by hash and then compared, so two values never share a number.
class ValueMap {
 public:
  ValueMap() { rehash(64); }

  size_t size() const { return offsets_.size() - 1; }
  std::string_view value(size_t index) const {
    return {bytes_.data() + offsets_[index], offsets_[index + 1] - offsets_[index]};
  }
  /// Of the values alone, end to end.
  size_t value_bytes() const { return offsets_.back(); }
  size_t bytes() const { return bytes_.size() + 8 * offsets_.size() + sizeof(Slot) * slots_.size(); }
  /// What it took, and how many values it had, when it last grew: the old and the new slots are there at once.
  size_t growth_bytes() const { return growth_bytes_; }
  size_t growth_size() const { return growth_size_; }

  /// Its number, or -1. The value must have kValuePadding readable bytes behind it.
  MTRANK_INLINE int64_t find(std::string_view value) const {
    return value.size() < 8 ? find_short(pack_short(value.data(), value.size()), value.size()) : find_long(value);
  }
  /// For a value of at most 7 bytes, packed.
  MTRANK_INLINE int64_t find_short(uint64_t bytes, size_t size) const {
    const uint64_t key = bytes | static_cast<uint64_t>(size) << 56;
    for (size_t at = first_slot(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].index;
      if (slots_[at].key == kEmpty) return -1;
    }
  }
  /// Makes room for so many values of so many bytes together, so that adding them takes no more than they do.
  void reserve(size_t values, size_t bytes);
  /// Its number, which is `size()` before the call when it is new.
  size_t insert(std::string_view value);

 private:
  struct Slot {
    uint64_t key;
    int64_t index;
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  static constexpr uint64_t kLong = uint64_t{1} << 63;  // the length of a short value is below 8: this bit is free

  static uint64_t long_key(std::string_view value) {
    const uint64_t key = xxh64_value(value, 0) | kLong;
    return key == kEmpty ? key - 1 : key;
  }
  MTRANK_INLINE size_t first_slot(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u) >> shift_; }
  int64_t find_long(std::string_view value) const;
  void rehash(size_t capacity);
  void place(uint64_t key, int64_t index);

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  int shift_ = 0;
  std::vector<char> bytes_;
  std::vector<uint64_t> offsets_{0};
  size_t growth_bytes_ = 0, growth_size_ = 0;
};

}  // namespace mtrank
