#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include "framework/core/host_device.h"
#include "framework/core/portable_math.h"

namespace mtrank {

/// Four independent uniform 32-bit words.
struct PhiloxBlock {
  uint32_t word[4];
  MTRANK_HD constexpr uint32_t operator[](int i) const { return word[i]; }
};

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a function from
/// (key, counter) to four words. It has no state, so who asks, when, and in which order cannot matter.
MTRANK_HD constexpr PhiloxBlock philox4x32(uint32_t key0, uint32_t key1, PhiloxBlock counter) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * c0;
    const uint64_t b = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ key0;
    const uint32_t n2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ key1;
    c0 = n0, c1 = static_cast<uint32_t>(b), c2 = n2, c3 = static_cast<uint32_t>(a);
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// One stream of random numbers: keyed by (seed, purpose, name), counted by (step, index), where index is a global
/// sample or element. Trivially copyable; pass it by value to a kernel.
///
///     const Philox random(seed, "init", "deep.0.weight");
///     w[i] = normal01(random(0, i));
struct Philox {
  uint32_t key0 = 0;
  uint32_t key1 = 0;

  Philox() = default;
  /// `purpose` says what for ("init", "dropout", "shuffle"), `name` for which tensor or file.
  Philox(uint64_t seed, std::string_view purpose, std::string_view name);

  MTRANK_HD constexpr PhiloxBlock operator()(uint64_t step, uint64_t index) const {
    return philox4x32(key0, key1,
                      {{static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), static_cast<uint32_t>(step),
                        static_cast<uint32_t>(step >> 32)}});
  }
};

/// Uniform in [0, 1), a multiple of 2^-24.
MTRANK_HD constexpr float uniform01(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

/// Uniform in (0, 1), never an end point: the middles of 2^52 equal cells.
MTRANK_HD constexpr double uniform_open(uint32_t high, uint32_t low) {
  const uint64_t bits = (uint64_t{high} << 32 | low) >> 12;
  return (static_cast<double>(bits) + 0.5) * 0x1p-52;
}

/// Uniform in [0, n) for n < 2^32, off by at most n * 2^-64.
MTRANK_HD constexpr uint32_t uniform_below(uint32_t n, uint32_t high, uint32_t low) {
  return static_cast<uint32_t>(((uint64_t{n} * low >> 32) + uint64_t{n} * high) >> 32);
}

namespace philox_detail {

MTRANK_HD double ratio(const double (&a)[8], const double (&b)[8], double r) {
  double num = a[7], den = b[7];
  for (int i = 6; i >= 0; --i) num = num * r + a[i], den = den * r + b[i];
  return num / den;
}

}  // namespace philox_detail

/// Inverse of the standard normal distribution function (Wichura, AS 241 PPND16, 1988; relative error 1e-15).
/// Built from +, -, *, / and sqrt alone, so its bits do not depend on a maths library. 0 < p < 1.
MTRANK_HD double normal_quantile(double p) {
  const double q = p - 0.5;
  if (q <= 0.425 && q >= -0.425) {
    const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                         1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                         3.3430575583588128105e+4, 2.5090809287301226727e+3};
    const double b[8] = {1.0,
                         4.2313330701600911252e+1,
                         6.8718700749205790830e+2,
                         5.3941960214247511077e+3,
                         2.1213794301586595867e+4,
                         3.9307895800092710610e+4,
                         2.8729085735721942674e+4,
                         5.2264952788528545610e+3};
    return q * philox_detail::ratio(a, b, 0.180625 - q * q);
  }
  const double r = sqrt(-portable_log(q < 0 ? p : 1.0 - p));
  double x;
  if (r <= 5.0) {
    const double a[8] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                         3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                         2.27238449892691845833e-2, 7.74545014278341407640e-4};
    const double b[8] = {1.0,
                         2.05319162663775882187e0,
                         1.67638483018380384940e0,
                         6.89767334985100004550e-1,
                         1.48103976427480074590e-1,
                         1.51986665636164571966e-2,
                         5.47593808499534494600e-4,
                         1.05075007164441684324e-9};
    x = philox_detail::ratio(a, b, r - 1.6);
  } else {
    const double a[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                         2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                         2.71155556874348757815e-5, 2.01033439929228813265e-7};
    const double b[8] = {1.0,
                         5.99832206555887937690e-1,
                         1.36929880922735805310e-1,
                         1.48753612908506148525e-2,
                         7.86869131145613259100e-4,
                         1.84631831751005468180e-5,
                         1.42151175831644588870e-7,
                         2.04426310338993978564e-15};
    x = philox_detail::ratio(a, b, r - 5.0);
  }
  return q < 0 ? -x : x;
}

/// Standard normal from words 0 and 1 of a block; `normal01_pair` also uses words 2 and 3.
MTRANK_HD double normal01(const PhiloxBlock& b) { return normal_quantile(uniform_open(b[0], b[1])); }
MTRANK_HD void normal01_pair(const PhiloxBlock& b, double out[2]) {
  out[0] = normal_quantile(uniform_open(b[0], b[1]));
  out[1] = normal_quantile(uniform_open(b[2], b[3]));
}

}  // namespace mtrank
