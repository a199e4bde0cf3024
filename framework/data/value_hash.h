#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "framework/core/hash.h"
#include "framework/core/isa.h"

namespace mtrank {

/// Values handed to the functions of this file can be read 8 bytes past their end.
constexpr size_t kValuePadding = 8;

/// The bytes of a value of at most 7, least significant first, zeros above.
MTRANK_INLINE uint64_t pack_short(const char* data, size_t size) {
  uint64_t bytes;
  std::memcpy(&bytes, data, 8);
  return bytes & ((uint64_t{1} << (8 * size)) - 1);
}

namespace value_hash_detail {
constexpr uint64_t kP1 = 0x9E3779B185EBCA87u, kP2 = 0xC2B2AE3D27D4EB4Fu, kP3 = 0x165667B19E3779F9u;
constexpr uint64_t kP4 = 0x85EBCA77C2B2AE63u, kP5 = 0x27D4EB2F165667C5u;
constexpr uint64_t rotl(uint64_t x, int n) { return x << n | x >> (64 - n); }

MTRANK_INLINE uint64_t finish(uint64_t h) {
  h = (h ^ h >> 33) * kP2;
  h = (h ^ h >> 29) * kP3;
  return h ^ h >> 32;
}
/// The last 0 to 7 bytes, without branches on their number: lengths of values are hard to predict.
MTRANK_INLINE uint64_t tail(uint64_t h, uint64_t bytes, size_t size) {
  const uint64_t with_four = rotl(h ^ (bytes & 0xFFFFFFFFu) * kP1, 23) * kP2 + kP3;
  h = size & 4 ? with_four : h;
  bytes = size & 4 ? bytes >> 32 : bytes;
  const size_t left = size & 3;
  const uint64_t one = rotl(h ^ (bytes & 0xFF) * kP5, 11) * kP1;
  h = left > 0 ? one : h;
  const uint64_t two = rotl(h ^ (bytes >> 8 & 0xFF) * kP5, 11) * kP1;
  h = left > 1 ? two : h;
  const uint64_t three = rotl(h ^ (bytes >> 16 & 0xFF) * kP5, 11) * kP1;
  return left > 2 ? three : h;
}
}  // namespace value_hash_detail

/// XXH64 of a value of at most 7 bytes, packed by `pack_short`.
MTRANK_INLINE uint64_t xxh64_short(uint64_t bytes, size_t size, uint64_t seed) {
  using namespace value_hash_detail;
  return finish(tail(seed + kP5 + size, bytes, size));
}

/// XXH64 of a value: the same as `xxh64`, faster for short ones.
MTRANK_INLINE uint64_t xxh64_value(std::string_view value, uint64_t seed) {
  using namespace value_hash_detail;
  if (value.size() >= 32) return xxh64(value, seed);
  uint64_t h = seed + kP5 + value.size();
  const char* p = value.data();
  size_t left = value.size();
  for (; left >= 8; left -= 8, p += 8) {
    uint64_t k;
    std::memcpy(&k, p, 8);
    h = rotl(h ^ rotl(k * kP2, 31) * kP1, 27) * kP1 + kP4;
  }
  return finish(tail(h, pack_short(p, left), left));
}

/// h mod n, exactly, without a division.
class FastModulo {
 public:
  FastModulo() = default;
  explicit FastModulo(uint64_t n) : n_(n), reciprocal_(n == 0 ? 0 : ~uint64_t{0} / n) {}
  MTRANK_INLINE uint64_t operator()(uint64_t h) const {
    const uint64_t q = static_cast<uint64_t>(static_cast<unsigned __int128>(h) * reciprocal_ >> 64);
    uint64_t r = h - q * n_;  // q is at most 2 too small
    r = r >= n_ ? r - n_ : r;
    return r >= n_ ? r - n_ : r;
  }

 private:
  uint64_t n_ = 1;
  uint64_t reciprocal_ = ~uint64_t{0};
};

}  // namespace mtrank
