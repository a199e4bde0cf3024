#include "framework/ops/cross.h"

#include "cuda/elementwise.cuh"

namespace mtrank::cuda {
namespace {

/// x0, u, x -> y.
struct Cross {
  static constexpr int kIn = 3, kOut = 1;
  MTRANK_HD void operator()(const float (&x)[3], float (&y)[1]) const { y[0] = math::fma(x[0], x[1], x[2]); }
};

/// dy, x0, u -> dx0, du. Residual: x0 is x too.
template <bool Residual>
struct CrossGradient {
  static constexpr int kIn = 3, kOut = 2, kSummed = 1;
  MTRANK_HD void operator()(const float (&x)[3], float (&y)[2]) const {
    y[0] = Residual ? math::fma(x[0], x[2], x[0]) : x[0] * x[2];
    y[1] = x[0] * x[1];
  }
};

}  // namespace

/// Moves 4 H numbers a row.
void launches::cross(const Call& call) { map(call, Cross{}); }

/// Moves 5 H numbers a row.
void launches::cross_gradient(const Call& call) {
  if (call.node.attributes.integer("residual") != 0) return map(call, CrossGradient<true>{});
  map(call, CrossGradient<false>{});
}

}  // namespace mtrank::cuda
