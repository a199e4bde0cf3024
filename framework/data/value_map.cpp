#include "framework/data/value_map.h"

#include <bit>

namespace mtrank {

int64_t ValueMap::find_long(std::string_view wanted) const {
  const uint64_t key = long_key(wanted);
  for (size_t at = first_slot(key);; at = (at + 1) & mask_) {
    if (slots_[at].key == kEmpty) return -1;
    if (slots_[at].key == key && value(static_cast<size_t>(slots_[at].index)) == wanted) return slots_[at].index;
  }
}

void ValueMap::reserve(size_t values, size_t bytes) {
  bytes_.reserve(bytes);
  offsets_.reserve(values + 1);
  if (2 * values > slots_.size()) rehash(std::bit_ceil(2 * values));
}

size_t ValueMap::insert(std::string_view value) {
  if (const int64_t found = find(value); found >= 0) return static_cast<size_t>(found);
  const size_t index = size();
  bytes_.insert(bytes_.end(), value.begin(), value.end());
  offsets_.push_back(bytes_.size());
  if (2 * size() > slots_.size()) rehash(2 * slots_.size());
  const uint64_t key =
      value.size() < 8 ? pack_short(value.data(), value.size()) | uint64_t{value.size()} << 56 : long_key(value);
  place(key, static_cast<int64_t>(index));
  return index;
}

void ValueMap::place(uint64_t key, int64_t index) {
  size_t at = first_slot(key);
  while (slots_[at].key != kEmpty) at = (at + 1) & mask_;
  slots_[at] = {key, index};
}

void ValueMap::rehash(size_t capacity) {
  growth_bytes_ = bytes() + sizeof(Slot) * capacity;
  growth_size_ = size();
  std::vector<Slot> old(capacity, Slot{kEmpty, -1});
  old.swap(slots_);
  mask_ = capacity - 1;
  shift_ = 64 - std::countr_zero(capacity);
  for (const Slot& slot : old)
    if (slot.key != kEmpty) place(slot.key, slot.index);
}

}  // namespace mtrank
