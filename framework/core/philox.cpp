#include "framework/core/philox.h"

#include <string>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace mtrank {

Philox::Philox(uint64_t seed, std::string_view purpose, std::string_view name) {
  std::string text(purpose);
  text += '\0';
  text += name;
  const uint64_t key = XXH64(text.data(), text.size(), seed);
  key0 = static_cast<uint32_t>(key);
  key1 = static_cast<uint32_t>(key >> 32);
}

}  // namespace mtrank
