#include "framework/ops/sigmoid.h"

#include "cuda/elementwise.cuh"

namespace mtrank::cuda {
namespace {

struct Sigmoid {
  static constexpr int kIn = 1, kOut = 1;
  MTRANK_HD void operator()(const float (&x)[1], float (&y)[1]) const { y[0] = math::sigmoid(x[0]); }
};

}  // namespace

/// Moves 2 C numbers a row.
void launches::sigmoid(const Call& call) { map(call, Sigmoid{}); }

}  // namespace mtrank::cuda
