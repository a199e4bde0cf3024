#include "framework/core/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace mtrank {

uint64_t xxh64(const void* data, size_t size, uint64_t seed) { return XXH64(data, size, seed); }

struct Xxh64::State {
  XXH64_state_t xxh;
};

Xxh64::Xxh64(uint64_t seed) : state_(std::make_unique<State>()) { XXH64_reset(&state_->xxh, seed); }
Xxh64::~Xxh64() = default;
Xxh64::Xxh64(Xxh64&&) noexcept = default;
Xxh64& Xxh64::operator=(Xxh64&&) noexcept = default;

void Xxh64::add(const void* data, size_t size) {
  if (size > 0) XXH64_update(&state_->xxh, data, size);
}

uint64_t Xxh64::value() const { return XXH64_digest(&state_->xxh); }

std::string hex64(uint64_t value) {
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4) text[static_cast<size_t>(i)] = "0123456789abcdef"[value & 15];
  return text;
}

bool parse_hex64(std::string_view text, uint64_t* value) {
  if (text.size() != 16) return false;
  uint64_t parsed = 0;
  for (const char c : text) {
    const size_t digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos) return false;
    parsed = parsed << 4 | digit;
  }
  *value = parsed;
  return true;
}

}  // namespace mtrank
