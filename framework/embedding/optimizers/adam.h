#pragma once

#include "framework/core/math.h"
#include "framework/embedding/optimizer.h"

namespace mtrank::optimizers {

/// Adam (Kingma & Ba, ICLR 2015).   m <- β1 m + (1 - β1) g;  v <- β2 v + (1 - β2) g²;
/// w <- w - lr m̂ / (sqrt(v̂) + eps), where m̂ and v̂ are corrected by 1 - β^step. A lazy one (PyTorch's SparseAdam)
/// touches only the rows a batch touched, counts every step, and adds eps to sqrt(v) before it is corrected.
struct Adam {
  static constexpr std::string_view name = "adam";
  static constexpr std::string_view summary =
      "m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= lr m / (sqrt(v) + eps), both bias-corrected";
  static constexpr OptimizerUse use = OptimizerUse::both;
  static constexpr OptimizerParameter parameters[] = {
      {{"beta1", 0.9, within_below(0, 1), "decay of the mean of the gradient"}},
      {{"beta2", 0.999, within_below(0, 1), "decay of the mean of its square"}},
      {{"eps", 1e-8, within(0, 1e6), "added to the root"}},
      {{"lazy", 1, flag(), "touch only the rows of the batch; otherwise every row moves each step"},
       OptimizerUse::tables}};
  static constexpr StateSlot slots[] = {{.name = "m"}, {.name = "v"}};

  struct Step {
    float size, eps, beta1, beta2, rest1, rest2;
  };
  static Step step(const OptimizerSettings& s, double lr, int64_t t) {
    const double beta1 = s.get("beta1"), beta2 = s.get("beta2");
    const double root = math::sqrt(1 - power(beta2, t));  // lr / (1 - β1^t) * m / (sqrt(v) / root + eps)
    const double eps = s.get("eps") * (s.get("lazy") != 0 ? 1 : root);
    return {static_cast<float>(lr * root / (1 - power(beta1, t))),
            static_cast<float>(eps),
            static_cast<float>(beta1),
            static_cast<float>(beta2),
            static_cast<float>(1 - beta1),
            static_cast<float>(1 - beta2)};
  }
  MTRANK_HD static float update(const Step& s, float w, float g, float (&state)[2]) {
    state[0] = math::fma(s.rest1, g, s.beta1 * state[0]);
    state[1] = math::fma(s.rest2 * g, g, s.beta2 * state[1]);
    return w - s.size * (state[0] / divisor(math::sqrt(state[1]) + s.eps));
  }

  /// x^n by squaring: the same bits on every machine, unlike a library's pow.
  static double power(double x, int64_t n) {
    double result = 1;
    for (; n > 0; n /= 2, x *= x)
      if (n % 2) result *= x;
    return result;
  }
};

}  // namespace mtrank::optimizers
