#include "framework/core/isa.h"
#include "framework/ops/gemm_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <utility>

namespace mtrank::gemm {
namespace {

#define MTRANK_AVX2_INLINE MTRANK_TARGET_AVX2 __attribute__((always_inline)) inline

template <int R, int V>
MTRANK_AVX2_INLINE void store(float* to, int64_t ld, const __m256 (&acc)[R][V]) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) _mm256_storeu_ps(to + r * ld + 8 * v, acc[r][v]);
}

template <int R, int V>
MTRANK_AVX2_INLINE void load(const float* from, int64_t ld, __m256 (&acc)[R][V]) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) acc[r][v] = _mm256_loadu_ps(from + r * ld + 8 * v);
}

template <int R, int V>
MTRANK_AVX2_INLINE void begin(const Tile& t, __m256 (&acc)[R][V]) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) acc[r][v] = _mm256_setzero_ps();
  if (!t.start) return;
  if (t.columns == 8 * V) return load(t.start, t.ld_start, acc);
  alignas(32) float chains[R][8 * V] = {};
  for (int r = 0; r < R; ++r) std::copy_n(t.start + r * t.ld_start, t.columns, chains[r]);
  load(chains[0], 8 * V, acc);
}

template <int R, int V>
MTRANK_AVX2_INLINE void finish(const Tile& t, __m256 (&acc)[R][V]) {
  if (t.columns < 8 * V) {
    alignas(32) float chains[R][8 * V];
    store(chains[0], 8 * V, acc);
    return finish_by_element(t, chains[0], 8 * V);
  }
  if (t.bias) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[r][v] = _mm256_add_ps(acc[r][v], _mm256_loadu_ps(t.bias + 8 * v));
  }
  if (t.accumulate) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[r][v] = _mm256_add_ps(_mm256_loadu_ps(t.c + r * t.ldc + 8 * v), acc[r][v]);
  }
  if (t.relu) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[r][v] = _mm256_max_ps(_mm256_setzero_ps(), acc[r][v]);
  }
  store(t.c, t.ldc, acc);
}

/// R rows, V vectors of 8 columns.
template <int R, int V, bool RowMajor>
MTRANK_TARGET_AVX2 __attribute__((noinline)) void tile(const Tile& t) {
  __m256 acc[R][V];
  begin(t, acc);
  const int64_t a_row = RowMajor ? t.a_stride : 1, a_step = RowMajor ? 1 : t.a_stride;
  const float* a = t.a;
  const float* b = t.b;
  for (int64_t k = t.depth; k > 0; --k, a += a_step, b += t.b_step) {
    __m256 column[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) column[v] = _mm256_loadu_ps(b + (v / 4) * t.b_panel + 8 * (v % 4));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m256 x = _mm256_broadcast_ss(a + r * a_row);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[r][v] = _mm256_fmadd_ps(x, column[v], acc[r][v]);
    }
  }
  finish(t, acc);
}

using TileFunction = void (*)(const Tile&);
constexpr int tallest = 6;

template <int V, bool RowMajor, size_t... R>
TileFunction pick(int64_t rows, std::index_sequence<R...>) {
  static constexpr TileFunction functions[] = {tile<R + 1, V, RowMajor>...};
  return functions[rows - 1];
}

template <bool RowMajor>
void run(const Tile& t) {
  constexpr auto few = std::make_index_sequence<3>();
  constexpr auto all = std::make_index_sequence < RowMajor ? 3 : tallest > ();
  if (t.columns > 32) return tile<1, 8, RowMajor>(t);
  if (t.columns > 16) return pick<4, RowMajor>(t.rows, few)(t);
  if (t.columns > 8) return pick<2, RowMajor>(t.rows, all)(t);
  return pick<1, RowMajor>(t.rows, all)(t);
}

void run_tile(const Tile& t) {
  if (t.row_major) return run<true>(t);
  if (t.columns <= 16 || t.rows <= 3) return run<false>(t);
  Tile half = t;
  half.columns = 16;
  run<false>(half);
  half.columns = t.columns - 16;
  half.b += 16;
  half.c += 16;
  if (t.start) half.start += 16;
  if (t.bias) half.bias += 16;
  run<false>(half);
}

int64_t widest(int64_t rows) { return rows == 1 ? 64 : rows <= 3 ? 32 : 0; }

/// Transposes 8 x 8 in registers.
MTRANK_AVX2_INLINE void transpose_8(__m256 (&x)[8]) {
  __m256 t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    x[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    x[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    x[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    x[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2f128_ps(x[i], x[4 + i], 0x20);
    t[4 + i] = _mm256_permute2f128_ps(x[i], x[4 + i], 0x31);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) x[i] = t[i];
}

/// `rows` <= 8.
MTRANK_TARGET_AVX2 void transpose_rows(const float* from, int64_t ld, int64_t rows, int64_t columns, float* to,
                                       int64_t step) {
  int64_t j = 0;
  for (; j + 8 <= columns; j += 8) {
    __m256 x[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) x[i] = i < rows ? _mm256_loadu_ps(from + i * ld + j) : _mm256_setzero_ps();
    transpose_8(x);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) _mm256_storeu_ps(to + (j + i) * step, x[i]);
  }
  for (; j < columns; ++j)
    for (int64_t i = 0; i < rows; ++i) to[j * step + i] = from[i * ld + j];
}

/// More than 8 rows only where `step` keeps the columns apart.
void transpose(const float* from, int64_t ld, int64_t rows, int64_t columns, float* to, int64_t step) {
  for (int64_t i = 0; i < rows; i += 8)
    transpose_rows(from + i * ld, ld, std::min<int64_t>(rows - i, 8), columns, to + i, step);
}

/// Lanes [0, count), count <= 8.
MTRANK_AVX2_INLINE __m256i lanes(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

MTRANK_TARGET_AVX2 void copy(const float* from, int64_t ld, int64_t rows, int64_t columns, float* to, int64_t step) {
  __m256i mask[4];
  for (int v = 0; v < 4; ++v) mask[v] = lanes(rows - 8 * v);
  const int vectors = step >= 32 ? 4 : static_cast<int>((rows + 7) / 8);
  for (int64_t j = 0; j < columns; ++j, from += ld, to += step)
    for (int v = 0; v < vectors; ++v) _mm256_storeu_ps(to + 8 * v, _mm256_maskload_ps(from + 8 * v, mask[v]));
}

}  // namespace

const Kernels& avx2_kernels() {
  static constexpr Kernels kernels = {tallest, 16, widest, run_tile, transpose, copy};
  return kernels;
}

}  // namespace mtrank::gemm
#endif
