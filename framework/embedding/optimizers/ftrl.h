#pragma once

#include "framework/core/math.h"
#include "framework/embedding/optimizer.h"

namespace mtrank::optimizers {

/// FTRL-Proximal (McMahan et al., KDD 2013, algorithm 1).
/// n <- n + g²;  z <- z + g - (sqrt(n) - sqrt(n_old)) / lr w;  w <- 0 where |z| <= l1, else
/// -(z - sign(z) l1) / ((beta + sqrt(n)) / lr + l2).
/// While w is not 0 it determines z, so z is computed from w: initial weights need no special state, a schedule of the
/// learning rate keeps the weights where they are, and rounding errors do not pile up in z. Its stored value matters
/// while w is 0.
struct Ftrl {
  static constexpr std::string_view name = "ftrl";
  static constexpr std::string_view summary =
      "n += g^2; z += g - (change of sqrt(n)) / lr w; w = 0 where |z| <= l1, else "
      "-(z - sign(z) l1) / ((beta + sqrt(n)) / lr + l2)";
  static constexpr OptimizerUse use = OptimizerUse::tables;
  static constexpr bool own_decay = true;  // l2
  static constexpr OptimizerParameter parameters[] = {
      {{"beta", 1, within(0, 1e6), "added to the root of the sum of squares"}},
      {{"initial_accumulator", 0, within(0, 1e10), "where the sum of squares starts"}},
      {{"l1", 0, within(0, 1e6), "makes weights exactly 0"}},
      {{"l2", 0, within(0, 1e6), "pulls weights towards 0"}}};
  static constexpr StateSlot slots[] = {{.name = "z"}, {.name = "n", .initial = "initial_accumulator"}};

  struct Step {
    float per_lr, beta, l1, l2;
  };
  static Step step(const OptimizerSettings& s, double lr, int64_t) {
    return {static_cast<float>(lr > 0 ? 1 / lr : 0), static_cast<float>(s.get("beta")), static_cast<float>(s.get("l1")),
            static_cast<float>(s.get("l2"))};
  }
  MTRANK_HD static float update(const Step& s, float w, float g, float (&state)[2]) {
    state[1] = math::fma(g, g, state[1]);
    const float q = (s.beta + math::sqrt(state[1])) * s.per_lr + s.l2;
    const float from_w = g - w * q - math::copysign(s.l1, w);
    const float z = w != 0.0f ? from_w : state[0] + g;
    const float size = math::abs(z) - s.l1;
    state[0] = z;
    const float next = size > 0.0f ? math::copysign(math::abs(size) / divisor(q), -z) : 0.0f;
    return s.per_lr > 0.0f ? next : w;  // a learning rate of 0
  }
};

}  // namespace mtrank::optimizers
