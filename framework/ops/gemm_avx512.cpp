#include "framework/core/isa.h"
#include "framework/ops/gemm_kernels.h"

#if defined(__x86_64__)
// GCC 12's own intrinsics trip it: they initialise "undefined" registers with themselves.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <algorithm>
#include <utility>

namespace mtrank::gemm {
namespace {

#define MTRANK_AVX512_INLINE MTRANK_TARGET_AVX512 __attribute__((always_inline)) inline

/// The first `count` lanes, at most all 16.
MTRANK_AVX512_INLINE __mmask16 lanes(int64_t count) {
  return static_cast<__mmask16>((1u << std::clamp<int64_t>(count, 0, 16)) - 1);
}

template <int R, int V>
MTRANK_AVX512_INLINE void begin(const Tile& t, const __mmask16 (&mask)[V], __m512 (&acc)[R][V]) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) acc[r][v] = _mm512_setzero_ps();
  if (!t.start) return;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) acc[r][v] = _mm512_maskz_loadu_ps(mask[v], t.start + r * t.ld_start + 16 * v);
}

template <int R, int V>
MTRANK_AVX512_INLINE void finish(const Tile& t, const __mmask16 (&mask)[V], __m512 (&acc)[R][V]) {
  if (t.bias) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      const __m512 bias = _mm512_maskz_loadu_ps(mask[v], t.bias + 16 * v);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) acc[r][v] = _mm512_add_ps(acc[r][v], bias);
    }
  }
  if (t.accumulate) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v)
        acc[r][v] = _mm512_add_ps(_mm512_maskz_loadu_ps(mask[v], t.c + r * t.ldc + 16 * v), acc[r][v]);
  }
  if (t.relu) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[r][v] = _mm512_max_ps(_mm512_setzero_ps(), acc[r][v]);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) _mm512_mask_storeu_ps(t.c + r * t.ldc + 16 * v, mask[v], acc[r][v]);
}

/// R rows, V vectors of 16 columns.
template <int R, int V, bool RowMajor>
MTRANK_TARGET_AVX512 __attribute__((noinline)) void tile(const Tile& t) {
  __mmask16 mask[V];
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) mask[v] = lanes(t.columns - 16 * v);
  __m512 acc[R][V];
  begin(t, mask, acc);
  const int64_t a_row = RowMajor ? t.a_stride : 1, a_step = RowMajor ? 1 : t.a_stride;
  const float* a = t.a;
  const float* b = t.b;
  for (int64_t k = t.depth; k > 0; --k, a += a_step, b += t.b_step) {
    __m512 column[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) column[v] = _mm512_loadu_ps(b + (v / 2) * t.b_panel + 16 * (v % 2));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512 x = _mm512_set1_ps(a[r * a_row]);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[r][v] = _mm512_fmadd_ps(x, column[v], acc[r][v]);
    }
  }
  finish(t, mask, acc);
}

using TileFunction = void (*)(const Tile&);
constexpr int tallest = 14;

template <int V, bool RowMajor, size_t... R>
TileFunction pick(int64_t rows, std::index_sequence<R...>) {
  static constexpr TileFunction functions[] = {tile<R + 1, V, RowMajor>...};
  return functions[rows - 1];
}

template <bool RowMajor>
void run(const Tile& t) {
  constexpr auto few = std::make_index_sequence<3>();
  constexpr auto some = std::make_index_sequence<6>();
  constexpr auto all = std::make_index_sequence < RowMajor ? 6 : tallest > ();
  if (t.columns > 64) return pick<8, RowMajor>(t.rows, few)(t);
  if (t.columns > 32) return pick<4, RowMajor>(t.rows, some)(t);
  if (t.columns > 16) return pick<2, RowMajor>(t.rows, all)(t);
  return pick<1, RowMajor>(t.rows, all)(t);
}

void run_tile(const Tile& t) { t.row_major ? run<true>(t) : run<false>(t); }

int64_t widest(int64_t rows) { return rows <= 3 ? 128 : rows <= 6 ? 64 : 0; }

/// Transposes 16 x 16 in registers.
MTRANK_AVX512_INLINE void transpose_16(__m512 (&x)[16]) {
  __m512 t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    x[4 * i] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    x[4 * i + 1] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    x[4 * i + 2] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    x[4 * i + 3] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_f32x4(x[i], x[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_f32x4(x[i], x[4 + i], 0xdd);
    t[8 + i] = _mm512_shuffle_f32x4(x[8 + i], x[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_f32x4(x[8 + i], x[12 + i], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    x[i] = _mm512_shuffle_f32x4(t[i], t[8 + i], 0x88);
    x[8 + i] = _mm512_shuffle_f32x4(t[i], t[8 + i], 0xdd);
    x[4 + i] = _mm512_shuffle_f32x4(t[4 + i], t[12 + i], 0x88);
    x[12 + i] = _mm512_shuffle_f32x4(t[4 + i], t[12 + i], 0xdd);
  }
}

MTRANK_TARGET_AVX512 void transpose(const float* from, int64_t ld, int64_t rows, int64_t columns, float* to,
                                    int64_t step) {
  for (int64_t j = 0; j < columns; j += 16) {
    const __mmask16 mask = lanes(columns - j);
    __m512 x[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) x[i] = i < rows ? _mm512_maskz_loadu_ps(mask, from + i * ld + j) : _mm512_setzero_ps();
    transpose_16(x);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      if (i < columns - j) _mm512_storeu_ps(to + (j + i) * step, x[i]);
  }
}

MTRANK_TARGET_AVX512 void copy(const float* from, int64_t ld, int64_t rows, int64_t columns, float* to, int64_t step) {
  const __mmask16 low = lanes(rows), high = lanes(rows - 16);
  for (int64_t j = 0; j < columns; ++j, from += ld, to += step) {
    _mm512_storeu_ps(to, _mm512_maskz_loadu_ps(low, from));
    if (step >= 32) _mm512_storeu_ps(to + 16, _mm512_maskz_loadu_ps(high, from + 16));
  }
}

}  // namespace

const Kernels& avx512_kernels() {
  static constexpr Kernels kernels = {tallest, 32, widest, run_tile, transpose, copy};
  return kernels;
}

}  // namespace mtrank::gemm
#endif
