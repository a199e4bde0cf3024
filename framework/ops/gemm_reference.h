#pragma once

#include <cstdint>

#include "framework/core/isa.h"
#include "framework/core/math.h"

/// The products of gemm.h without packing, for any T: what a float64 plan runs, and what tests compare with. The order
/// of every chain is the same, so the float version gives the same bits as the fast kernels.
namespace mtrank::gemm {

/// C [M, N] = A B (+ bias), added to C with `accumulate`. Element (i, p) of A is a[i * ai + p * ak], element (p, j) of
/// B [K, N] is b[p * bk + j * bj]. With A's strides swapped it is the weight gradient, with B's the input gradient.
template <class T>
void reference(int64_t m, int64_t k, int64_t n, const T* a, int64_t ai, int64_t ak, const T* b, int64_t bk, int64_t bj,
               T* c, int64_t ldc, const T* bias, bool accumulate) {
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    constexpr int64_t width = 64;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j0 = 0; j0 < n; j0 += width) {
        const int64_t columns = n - j0 < width ? n - j0 : width;
        T chain[width] = {};
        for (int64_t p = 0; p < k; ++p) {
          const T v = a[i * ai + p * ak];
          const T* row = b + p * bk + j0 * bj;
          for (int64_t j = 0; j < columns; ++j) chain[j] = math::fma(v, row[j * bj], chain[j]);
        }
        T* out = c + i * ldc + j0;
        for (int64_t j = 0; j < columns; ++j) {
          const T v = bias ? chain[j] + bias[j0 + j] : chain[j];
          out[j] = accumulate ? out[j] + v : v;
        }
      }
  });
}

}  // namespace mtrank::gemm
