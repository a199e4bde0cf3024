#pragma once

#include "cuda/call.h"
#include "framework/ops/activation.h"

/// Matrix products with at most kNarrow columns on a side (logits, gates of one task, a single dense feature), for
/// which the library is slow and whose single columns have types of their own. f32 sums in an order fixed by the
/// shapes, so the same bits on every run. Each moves its wide side once.
namespace mtrank::cuda {

constexpr int64_t kNarrow = 4;

/// out_g = f(in_g W_g + b_g), or out_g += in_g W_g.   in [B, G I]; out [B, G O]; I or O at most kNarrow
/// W_g(i, o) is weights[g * group_step + i * inner_step + o * outer_step].
struct NarrowProduct {
  int64_t rows, groups, inner, outer;
  DeviceView in, out;
  const float* weights;
  int64_t inner_step, outer_step, group_step;
  bool accumulate = false;
  const float* bias = nullptr;               ///< [G O], or null
  Activation activation = Activation::none;  ///< where nothing is accumulated
  DeviceView before = {};                    ///< what f is applied to, kept; or absent
};
void narrow_product(const NarrowProduct& product, const Context& context);

/// dW_g = x_gᵀ dz_g and db = Σ_B dz, each = or +=.   x [B, G K]; dz [B, G N]; K or N at most kNarrow
struct NarrowGradient {
  int64_t rows, groups, k, n;
  DeviceView x, dz;
  float* weights;      ///< dW, row g K + k at (g K + k) * weights_ld
  int64_t weights_ld;  ///< from row to row
  float* bias;         ///< db [G N], or null
  bool add_weights, add_bias;
};
void narrow_gradient(const NarrowGradient& gradient, const Context& context);

/// sums[c] = Σ_r values(r, c), or +=, for any number of columns.
void column_sums(const DeviceView& values, int64_t rows, float* sums, bool accumulate, const Context& context);
/// The same from the sums of blocks of rows (cuda/block_sums.cuh), [blocks, columns].
void finish_column_sums(const float* partial, int64_t rows, int64_t columns, float* sums, bool accumulate,
                        const Context& context);

}  // namespace mtrank::cuda
