#pragma once

#include <cstdint>

/// What an instruction set supplies to the matrix product. Private to framework/ops/gemm*.
namespace mtrank::gemm {

constexpr int64_t panel_width = 32;

/// One tile of C: `rows` x `columns` outputs, over `depth` steps of the summed index.
/// Operand b: step k is 32 floats at b + k * b_step; each further 32 columns start b_panel floats on.
struct Tile {
  int64_t rows = 0, columns = 0, depth = 0;
  const float* a = nullptr;
  bool row_major = false;  ///< element (r, k) is a[r * a_stride + k], otherwise a[r + k * a_stride]
  int64_t a_stride = 0;
  const float* b = nullptr;
  int64_t b_step = 0, b_panel = 0;
  const float* start = nullptr;  ///< the chain so far; null is zero
  int64_t ld_start = 0;
  float* c = nullptr;
  int64_t ldc = 0;
  const float* bias = nullptr;  ///< at the end: chain + bias, c + that, max with 0
  bool accumulate = false, relu = false;
};

/// What comes after the chain, for tiles that are not whole vectors. Chains [rows, ld].
inline void finish_by_element(const Tile& t, const float* chains, int64_t ld) {
  for (int64_t r = 0; r < t.rows; ++r)
    for (int64_t j = 0; j < t.columns; ++j) {
      float x = chains[r * ld + j];
      float& c = t.c[r * t.ldc + j];
      if (t.bias) x += t.bias[j];
      if (t.accumulate) x = c + x;
      c = t.relu && x < 0 ? 0 : x;
    }
}

struct Kernels {
  int64_t rows, width;  ///< tallest and widest tile of a large product
  /// Widest tile of so many rows: 128, 64, 32, or 0 where there are too many rows for it. Such a tile may be row_major;
  /// it has more columns than half its width. Any tile that is not row_major may have 32 columns.
  int64_t (*columns)(int64_t rows);
  void (*tile)(const Tile& tile);
  /// to[j * step + i] = from[i * ld + j] for i < rows <= 16, j < columns. May also write to i in [rows, 16), in
  /// ascending order of j, so `to` needs room for 16 at the last j.
  void (*transpose)(const float* from, int64_t ld, int64_t rows, int64_t columns, float* to, int64_t step);
  /// to[j * step + i] = from[j * ld + i] for i < rows <= 32, j < columns; where step >= 32, zero for i in [rows, 32),
  /// otherwise it may write to i in [rows, 16) as `transpose` does.
  void (*copy)(const float* from, int64_t ld, int64_t rows, int64_t columns, float* to, int64_t step);
};

const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();

}  // namespace mtrank::gemm
