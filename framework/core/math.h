#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "framework/core/host_device.h"

/// Pointwise maths, written once for every device. The float versions are branch-free polynomials, correct over the
/// whole range (overflow, underflow, infinities; NaN in, NaN out), within 2 ulp, and vectorise inside `for_isa` with
/// the same bits from every instruction set. The double versions are the library's: they only serve finite differences.
namespace mtrank::math {

namespace detail {
MTRANK_HD uint32_t bits(float x) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(x);
#else
  return std::bit_cast<uint32_t>(x);
#endif
}
MTRANK_HD float from_bits(uint32_t x) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(x);
#else
  return std::bit_cast<float>(x);
#endif
}
}  // namespace detail

/// a * b + c, rounded once.
MTRANK_HD float fma(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return ::fmaf(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}
MTRANK_HD double fma(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return ::fma(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}

MTRANK_HD float abs(float x) { return detail::from_bits(detail::bits(x) & 0x7fffffffu); }
MTRANK_HD double abs(double x) { return x < 0 ? -x : x; }
MTRANK_HD float sqrt(float x) { return ::sqrtf(x); }
MTRANK_HD double sqrt(double x) { return ::sqrt(x); }
/// A NaN in `x` comes out of `max(x, c)` and `min(x, c)`.
template <class T>
MTRANK_HD T max(T x, T c) {
  return x < c ? c : x;
}
template <class T>
MTRANK_HD T min(T x, T c) {
  return x > c ? c : x;
}
MTRANK_HD float copysign(float magnitude, float sign) {
  return detail::from_bits((detail::bits(magnitude) & 0x7fffffffu) | (detail::bits(sign) & 0x80000000u));
}
/// Neither infinite nor NaN.
MTRANK_HD bool finite(float x) { return (detail::bits(x) & 0x7fffffffu) < 0x7f800000u; }
MTRANK_HD bool finite(double x) { return x - x == 0; }

/// e^x = 2^n e^r, n = round(x / ln 2). 2^n is applied in two halves, so that it overflows and underflows where it must.
MTRANK_HD float exp(float x) {
  const float clamped = min(max(x, -104.0f), 89.0f);
  const float shifted = fma(clamped, 1.44269504f, 12582912.0f);  // 1.5 * 2^23: the low bits are the integer
  const float n = shifted - 12582912.0f;
  const float r = fma(n, -1.42860677e-6f, fma(n, -0.693145752f, clamped));
  float p = 0.00138144661f;
  p = fma(p, r, 0.00836878084f);
  p = fma(p, r, 0.0416683927f);
  p = fma(p, r, 0.166665196f);
  p = fma(p, r, 0.49999994f);
  p = fma(p, r * r, r) + 1.0f;
  const int32_t k = static_cast<int32_t>(detail::bits(shifted) - 0x4b400000u);
  const int32_t half = k >> 1;
  const float a = detail::from_bits(static_cast<uint32_t>(half + 127) << 23);
  const float b = detail::from_bits(static_cast<uint32_t>(k - half + 127) << 23);
  return p * a * b;
}
MTRANK_HD double exp(double x) { return ::exp(x); }

namespace detail {
/// log(m 2^e (1 + c)) where x = m 2^e is positive and finite and c is tiny.
MTRANK_HD float log_positive(float x, float c) {
  const bool tiny = x < 1.17549435e-38f;
  const uint32_t ix = bits(tiny ? x * 8388608.0f : x);
  const uint32_t shifted = ix - 0x3f3504f3u;  // sqrt(1/2): m lies in [sqrt(1/2), sqrt(2))
  const int32_t k = static_cast<int32_t>(shifted) >> 23;
  const float e = static_cast<float>(k) - (tiny ? 23.0f : 0.0f);
  const float f = from_bits(ix - (static_cast<uint32_t>(k) << 23)) - 1.0f;
  const float z = f * f;
  float p = 0.067466408f;
  p = fma(p, f, -0.116756521f);
  p = fma(p, f, 0.11888162f);
  p = fma(p, f, -0.124055892f);
  p = fma(p, f, 0.142195523f);
  p = fma(p, f, -0.166679963f);
  p = fma(p, f, 0.200021192f);
  p = fma(p, f, -0.250000089f);
  p = fma(p, f, 0.333333135f);
  float low = fma(p * z, f, c);
  low = fma(e, -2.12194440e-4f, low);
  low = fma(z, -0.5f, low);
  return fma(e, 0.693359375f, f + low);
}
}  // namespace detail

MTRANK_HD float log(float x) {
  const float y = detail::log_positive(x, 0.0f);
  const float special = x == 0.0f ? -__builtin_inff() : (x > 0.0f ? x : __builtin_nanf(""));
  return finite(x) && x > 0.0f ? y : (x != x ? x : special);
}
MTRANK_HD double log(double x) { return ::log(x); }

/// log(1 + x), accurate for small x.
MTRANK_HD float log1p(float x) {
  const float u = 1.0f + x;
  const float lost = x > 1.0f ? 1.0f - (u - x) : x - (u - 1.0f);  // what rounding u lost
  const float y = detail::log_positive(u, lost / u);
  const float special = x == -1.0f ? -__builtin_inff() : (x > 0.0f ? x : __builtin_nanf(""));
  const float result = finite(x) && x > -1.0f ? y : (x != x ? x : special);
  return x == 0.0f ? x : result;
}
MTRANK_HD double log1p(double x) { return ::log1p(x); }

/// Below 0.625 an odd polynomial, above 1 - 2 / (e^2|x| + 1).
MTRANK_HD float tanh(float x) {
  const float z = x * x;
  float p = 0.00213962118f;
  p = fma(p, z, -0.00817386061f);
  p = fma(p, z, 0.0216993205f);
  p = fma(p, z, -0.0539465211f);
  p = fma(p, z, 0.133332044f);
  p = fma(p, z, -0.333333313f);
  const float t = abs(x);
  const float large = 1.0f - 2.0f / (exp(t + t) + 1.0f);
  return copysign(t < 0.625f ? fma(p * z, t, t) : large, x);
}
MTRANK_HD double tanh(double x) { return ::tanh(x); }

/// 1 / (1 + e^-x), without overflow.
template <class T>
MTRANK_HD T sigmoid(T x) {
  const T e = exp(-abs(x));
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

/// log(1 + e^x) = max(x, 0) + log1p(e^-|x|): neither overflows nor loses the small ones.
template <class T>
MTRANK_HD T softplus(T x) {
  return (x > T(0) ? x : T(0)) + log1p(exp(-abs(x)));
}

/// log(sigmoid(x)).
template <class T>
MTRANK_HD T log_sigmoid(T x) {
  return -softplus(-x);
}

/// Below 0.93 x P(x^2), above 1 - exp(|x| Q(|x|)).
MTRANK_HD float erf(float x) {
  const float z = x * x;
  float p = 8.31679426e-05f;
  p = fma(p, z, -0.000813001825f);
  p = fma(p, z, 0.00519990735f);
  p = fma(p, z, -0.0268589426f);
  p = fma(p, z, 0.112836875f);
  p = fma(p, z, -0.376126319f);
  p = fma(p, z, 0.128379166f);
  const float a = abs(x);
  const float t = a > 3.95f ? 3.95f : a;  // 1 in float from there on; a NaN stays one
  float q = -1.12312709e-05f;
  q = fma(q, t, 0.000322803535f);
  q = fma(q, t, -0.00364245777f);
  q = fma(q, t, 0.0237620603f);
  q = fma(q, t, -0.106236875f);
  q = fma(q, t, -0.635151327f);
  q = fma(q, t, -1.12864852f);
  const float large = 1.0f - exp(q * t);
  return copysign(a < 0.93f ? fma(p, a, a) : large, x);
}
MTRANK_HD double erf(double x) { return ::erf(x); }

template <class T>
MTRANK_HD T rsqrt(T x) {
  return T(1) / sqrt(x);
}

}  // namespace mtrank::math
