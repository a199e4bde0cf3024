#include <algorithm>

#include "framework/core/math.h"
#include "framework/ops/gemm_kernels.h"

namespace mtrank::gemm {
namespace {

constexpr int64_t tallest = 8;

void tile(const Tile& t) {
  float chains[tallest][panel_width] = {};
  const int64_t a_row = t.row_major ? t.a_stride : 1, a_step = t.row_major ? 1 : t.a_stride;
  for (int64_t r = 0; t.start && r < t.rows; ++r) std::copy_n(t.start + r * t.ld_start, t.columns, chains[r]);
  for (int64_t k = 0; k < t.depth; ++k)
    for (int64_t r = 0; r < t.rows; ++r) {
      const float x = t.a[r * a_row + k * a_step];
      for (int64_t j = 0; j < t.columns; ++j) chains[r][j] = math::fma(x, t.b[k * t.b_step + j], chains[r][j]);
    }
  finish_by_element(t, chains[0], panel_width);
}

int64_t widest(int64_t rows) { return rows <= tallest ? panel_width : 0; }

void transpose(const float* from, int64_t ld, int64_t rows, int64_t columns, float* to, int64_t step) {
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < rows; ++i) to[j * step + i] = from[i * ld + j];
}

void copy(const float* from, int64_t ld, int64_t rows, int64_t columns, float* to, int64_t step) {
  for (int64_t j = 0; j < columns; ++j) {
    std::copy_n(from + j * ld, rows, to + j * step);
    if (step >= panel_width) std::fill(to + j * step + rows, to + j * step + panel_width, 0.0f);
  }
}

}  // namespace

const Kernels& scalar_kernels() {
  static constexpr Kernels kernels = {tallest, panel_width, widest, tile, transpose, copy};
  return kernels;
}

}  // namespace mtrank::gemm
