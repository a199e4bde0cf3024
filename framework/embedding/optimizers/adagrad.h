#pragma once

#include "framework/core/math.h"
#include "framework/embedding/optimizer.h"

namespace mtrank::optimizers {

/// Adagrad (Duchi et al., JMLR 2011).   h <- h + g²;  w <- w - lr g / (sqrt(h) + eps).
struct Adagrad {
  static constexpr std::string_view name = "adagrad";
  static constexpr std::string_view summary = "h += g^2; w -= lr g / (sqrt(h) + eps)";
  static constexpr OptimizerUse use = OptimizerUse::both;
  static constexpr OptimizerParameter parameters[] = {
      {{"initial_accumulator", 0, within(0, 1e10), "where the sum of squares starts"}},
      {{"eps", 1e-8, within(0, 1e6), "added to the root"}}};
  static constexpr StateSlot slots[] = {{.name = "accumulator", .initial = "initial_accumulator"}};

  struct Step {
    float lr, eps;
  };
  static Step step(const OptimizerSettings& s, double lr, int64_t) {
    return {static_cast<float>(lr), static_cast<float>(s.get("eps"))};
  }
  MTRANK_HD static float update(const Step& s, float w, float g, float (&state)[1]) {
    state[0] = math::fma(g, g, state[0]);
    return w - s.lr * g / divisor(math::sqrt(state[0]) + s.eps);
  }
};

}  // namespace mtrank::optimizers
