#pragma once

#include <cstdint>
#include <cstring>

#include "framework/core/host_device.h"

/// Double-precision functions from +, -, *, / alone, so that their bits do not depend on a maths library: for metrics,
/// initial weights and synthetic data. Within 2 ulp; slower than the library.
namespace mtrank {

/// Natural logarithm of a positive, normal double: x = m 2^e with m in [sqrt(1/2), sqrt(2)), then the series of atanh.
MTRANK_HD double portable_log(double x) {
  uint64_t bits;
  memcpy(&bits, &x, 8);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull;
  double m;
  memcpy(&m, &bits, 8);
  if (m > 1.4142135623730951) m *= 0.5, ++exponent;
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double sum = 1.0 / 23;
  sum = sum * z + 1.0 / 21, sum = sum * z + 1.0 / 19, sum = sum * z + 1.0 / 17, sum = sum * z + 1.0 / 15;
  sum = sum * z + 1.0 / 13, sum = sum * z + 1.0 / 11, sum = sum * z + 1.0 / 9, sum = sum * z + 1.0 / 7;
  sum = sum * z + 1.0 / 5, sum = sum * z + 1.0 / 3;
  // The leading term stands apart: it carries the accuracy. ln 2 is split so that its product with the exponent is
  // exact.
  return exponent * 0x1.62e42fefa38p-1 + (exponent * 0x1.ef35793c7673p-45 + (2.0 * s + 2.0 * s * (z * sum)));
}

/// e^x for |x| <= 700; beyond, the value at the bound.
MTRANK_HD double portable_exp(double x) {
  x = x < -700.0 ? -700.0 : x > 700.0 ? 700.0 : x;
  const double scaled = x * 1.4426950408889634;
  const int n = static_cast<int>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  const double r = (x - n * 0x1.62e42fefa38p-1) - n * 0x1.ef35793c7673p-45;
  double sum = 1.0 / 14;
  for (int k = 13; k >= 1; --k) sum = (1.0 + r * sum) / k;
  const uint64_t bits = static_cast<uint64_t>(n + 1023) << 52;
  double power;
  memcpy(&power, &bits, 8);
  return power * (1.0 + r * sum);
}

/// 1 / (1 + e^-x).
MTRANK_HD double portable_sigmoid(double x) { return 1.0 / (1.0 + portable_exp(-x)); }

}  // namespace mtrank
