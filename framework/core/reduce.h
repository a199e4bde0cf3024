#pragma once

#include <cstdint>

#include "framework/core/math.h"

/// Reductions over contiguous floats in a fixed order: element i goes to lane i % 16, lanes are folded by halves. The
/// order depends on nothing but n, so the bits are the same from every instruction set. These are inline bodies: call
/// them inside `for_isa`, or through the functions of the same name in namespace mtrank.
namespace mtrank::lanes {

template <class T, class Term>
MTRANK_INLINE T fold(int64_t n, const Term& term) {
  T lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
#pragma GCC unroll 1  // else it is unrolled into 16 scalars before the vectoriser sees it
    for (int l = 0; l < 16; ++l) lane[l] = term(lane[l], i + l);
  }
  for (int l = 0; i + l < n; ++l) lane[l] = term(lane[l], i + l);
  for (int width = 8; width > 0; width /= 2)
    for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
  return lane[0];
}

/// Sum in float.
MTRANK_INLINE float sum(const float* x, int64_t n) {
  return fold<float>(n, [=](float s, int64_t i) MTRANK_INLINE_LAMBDA { return s + x[i]; });
}
/// Sum in double.
MTRANK_INLINE double sum_f64(const float* x, int64_t n) {
  return fold<double>(n, [=](double s, int64_t i) MTRANK_INLINE_LAMBDA { return s + static_cast<double>(x[i]); });
}
/// Sum of squares in double.
MTRANK_INLINE double sum_squares(const float* x, int64_t n) {
  return fold<double>(n, [=](double s, int64_t i) MTRANK_INLINE_LAMBDA {
    const double v = x[i];
    return __builtin_fma(v, v, s);
  });
}
/// Dot product in float.
MTRANK_INLINE float dot(const float* x, const float* y, int64_t n) {
  return fold<float>(n, [=](float s, int64_t i) MTRANK_INLINE_LAMBDA { return __builtin_fmaf(x[i], y[i], s); });
}
/// The bits of the largest magnitude; a NaN counts as larger than infinity.
MTRANK_INLINE uint32_t max_abs_bits(const float* x, int64_t n) {
  uint32_t lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
#pragma GCC unroll 1
    for (int l = 0; l < 16; ++l) {
      const uint32_t b = math::detail::bits(x[i + l]) & 0x7fffffffu;
      lane[l] = lane[l] > b ? lane[l] : b;
    }
  }
  for (int l = 0; i + l < n; ++l) {
    const uint32_t b = math::detail::bits(x[i + l]) & 0x7fffffffu;
    lane[l] = lane[l] > b ? lane[l] : b;
  }
  uint32_t result = 0;
  for (int l = 0; l < 16; ++l) result = result > lane[l] ? result : lane[l];
  return result;
}
/// The largest |x|; NaN when there is one.
MTRANK_INLINE float max_abs(const float* x, int64_t n) { return math::detail::from_bits(max_abs_bits(x, n)); }
/// No NaN and no infinity.
MTRANK_INLINE bool all_finite(const float* x, int64_t n) { return max_abs_bits(x, n) < 0x7f800000u; }

}  // namespace mtrank::lanes

namespace mtrank {

float sum(const float* x, int64_t n);
double sum_f64(const float* x, int64_t n);
double sum_squares(const float* x, int64_t n);
float dot(const float* x, const float* y, int64_t n);
float max_abs(const float* x, int64_t n);
bool all_finite(const float* x, int64_t n);

}  // namespace mtrank
