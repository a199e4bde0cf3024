#include <cstring>

#include "framework/core/isa.h"
#include "framework/data/csv_text.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mtrank {
namespace {

/// One bit a byte that equals `c`, eight bytes at a time.
uint64_t matches_scalar(const char* text, char c) {
  constexpr uint64_t low7 = 0x7f7f7f7f7f7f7f7fu;
  const uint64_t pattern = 0x0101010101010101u * static_cast<uint8_t>(c);
  uint64_t mask = 0;
  for (int i = 0; i < 8; ++i) {
    uint64_t x;
    std::memcpy(&x, text + 8 * i, 8);
    x ^= pattern;
    const uint64_t zero_bytes = ~(((x & low7) + low7) | x | low7);  // the high bit of every byte that is zero
    mask |= ((zero_bytes >> 7) * 0x0102040810204080u >> 56) << (8 * i);
  }
  return mask;
}

void classify_scalar(const char* text, size_t chunks, char delimiter, CsvMasks* masks) {
  for (size_t i = 0; i < chunks; ++i, text += 64)
    masks[i] = {matches_scalar(text, delimiter), matches_scalar(text, '\n'), matches_scalar(text, '"')};
}

#if defined(__x86_64__)
MTRANK_TARGET_AVX2 uint64_t matches_avx2(__m256i low, __m256i high, char c) {
  const __m256i pattern = _mm256_set1_epi8(c);
  const uint32_t a = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, pattern)));
  const uint32_t b = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, pattern)));
  return uint64_t{b} << 32 | a;
}

MTRANK_TARGET_AVX2 void classify_avx2(const char* text, size_t chunks, char delimiter, CsvMasks* masks) {
  for (size_t i = 0; i < chunks; ++i, text += 64) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text + 32));
    masks[i] = {matches_avx2(low, high, delimiter), matches_avx2(low, high, '\n'), matches_avx2(low, high, '"')};
  }
}

MTRANK_TARGET_AVX512 void classify_avx512(const char* text, size_t chunks, char delimiter, CsvMasks* masks) {
  const __m512i d = _mm512_set1_epi8(delimiter), n = _mm512_set1_epi8('\n'), q = _mm512_set1_epi8('"');
  for (size_t i = 0; i < chunks; ++i, text += 64) {
    const __m512i bytes = _mm512_loadu_si512(text);
    masks[i] = {_mm512_cmpeq_epi8_mask(bytes, d), _mm512_cmpeq_epi8_mask(bytes, n), _mm512_cmpeq_epi8_mask(bytes, q)};
  }
}
#endif

}  // namespace

void classify_text(const char* text, size_t chunks, char delimiter, CsvMasks* masks) {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return classify_avx512(text, chunks, delimiter, masks);
  if (isa() == Isa::avx2) return classify_avx2(text, chunks, delimiter, masks);
#endif
  classify_scalar(text, chunks, delimiter, masks);
}

}  // namespace mtrank
