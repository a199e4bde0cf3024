#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace mtrank {

/// XXH64 of some bytes. Part of the file formats and of `ids: hash`: its values never change.
/// The seed has no default here, so that `xxh64("text", seed)` cannot take a seed for a size.
uint64_t xxh64(const void* data, size_t size, uint64_t seed);
inline uint64_t xxh64(std::string_view bytes, uint64_t seed = 0) { return xxh64(bytes.data(), bytes.size(), seed); }

/// The same value as `xxh64`, fed in pieces of any size.
class Xxh64 {
 public:
  explicit Xxh64(uint64_t seed = 0);
  ~Xxh64();
  Xxh64(Xxh64&&) noexcept;
  Xxh64& operator=(Xxh64&&) noexcept;

  void add(const void* data, size_t size);
  uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// 16 lower-case hexadecimal digits, the most significant first.
std::string hex64(uint64_t value);
/// The inverse of `hex64`; false, and `value` untouched, when `text` is anything else.
bool parse_hex64(std::string_view text, uint64_t* value);

}  // namespace mtrank
