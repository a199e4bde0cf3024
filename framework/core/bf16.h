#pragma once

#include <cstdint>

#include "framework/core/math.h"

namespace mtrank {

/// The upper half of a float: 8 bits of exponent, 8 of precision. Storage only; arithmetic is done in float.
struct bf16 {
  uint16_t bits;
};

MTRANK_HD float to_float(bf16 x) { return math::detail::from_bits(static_cast<uint32_t>(x.bits) << 16); }
MTRANK_HD float to_float(float x) { return x; }

/// To nearest, ties to even; a NaN stays one.
MTRANK_HD bf16 to_bf16(float x) {
#if defined(__CUDA_ARCH__)
  bf16 rounded;  // one instruction; of a NaN it gives other bits
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded.bits) : "f"(x));
  return rounded;
#else
  const uint32_t u = math::detail::bits(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>(u >> 16 | 0x40u)};
  return {static_cast<uint16_t>((u + 0x7fffu + (u >> 16 & 1u)) >> 16)};
#endif
}

/// A float as a T: float or bf16.
template <class T>
MTRANK_HD T from_float(float x) {
  if constexpr (sizeof(T) == sizeof(bf16))
    return to_bf16(x);
  else
    return x;
}

}  // namespace mtrank
