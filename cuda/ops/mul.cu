#include "framework/ops/mul.h"

#include "cuda/fold.cuh"

namespace mtrank::cuda {
namespace {

/// dy, x_0, x_1 -> dx_0, dx_1.
struct PairGradient {
  static constexpr int kIn = 3, kOut = 2;
  MTRANK_HD void operator()(const float (&x)[3], float (&y)[2]) const { y[0] = x[0] * x[2], y[1] = x[0] * x[1]; }
};

}  // namespace

/// Moves (N + 1) H numbers a row, for N factors.
void launches::mul(const Call& call) { fold<Times>(call, call.in, call.out[0], false); }

/// in: dy, x_0 ...; out: dx_0 ... Moves 5 H numbers a row for two factors, N (N + 1) H for more.
void launches::mul_gradient(const Call& call) {
  if (call.out.size() == 2) return map(call, PairGradient{});
  for (size_t i = 0; i < call.out.size(); ++i) {
    if (!call.out[i]) continue;
    std::vector<DeviceView> factors(call.in.begin(), call.in.end());
    factors.erase(factors.begin() + 1 + static_cast<std::ptrdiff_t>(i));
    fold<Times>(call, factors, call.out[i], call.accumulate[i]);
  }
}

}  // namespace mtrank::cuda
