#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "framework/core/isa.h"

namespace mtrank {

namespace token_detail {
/// The high bit of every byte of `word` that equals the byte repeated in `pattern`; exact up to the first of them.
MTRANK_INLINE uint64_t equal_bytes(uint64_t word, uint64_t pattern) {
  const uint64_t x = word ^ pattern;
  return (x - 0x0101010101010101u) & ~x & 0x8080808080808080u;
}
}  // namespace token_detail

/// Calls `f(token)` for what stands between separators, empty tokens included; an empty text is one empty token. The
/// text, and so every token, must have 8 readable bytes behind it.
template <class F>
MTRANK_INLINE void for_each_token(std::string_view text, char separator, const F& f) {
  const uint64_t pattern = 0x0101010101010101u * static_cast<uint8_t>(separator);
  const char* begin = text.data();
  const char* const end = begin + text.size();
  const char* p = begin;
  while (true) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    const uint64_t found = token_detail::equal_bytes(word, pattern);
    const char* at = p + (found ? __builtin_ctzll(found) >> 3 : 8);
    if (at < end && !found) {
      p = at;
      continue;
    }
    at = at < end ? at : end;
    f(std::string_view(begin, static_cast<size_t>(at - begin)));
    if (at == end) return;
    begin = p = at + 1;
  }
}

/// How many tokens `for_each_token` gives.
inline int64_t count_tokens(std::string_view text, char separator) {
  int64_t n = 1;
  for (const char c : text) n += c == separator;
  return n;
}

/// `text` without its first `n` tokens; n is below their number.
inline std::string_view skip_tokens(std::string_view text, char separator, int64_t n) {
  size_t at = 0;
  for (; n > 0; --n) at = text.find(separator, at) + 1;
  return text.substr(at);
}

}  // namespace mtrank
