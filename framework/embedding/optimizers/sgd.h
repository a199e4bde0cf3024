#pragma once

#include "framework/core/math.h"
#include "framework/embedding/optimizer.h"

namespace mtrank::optimizers {

/// Stochastic gradient descent with momentum (Sutskever et al., ICML 2013, as in PyTorch).
/// v <- momentum v + g;  w <- w - lr (nesterov ? g + momentum v : v). In a table only the rows of the batch move.
struct Sgd {
  static constexpr std::string_view name = "sgd";
  static constexpr std::string_view summary = "v = momentum v + g; w -= lr v, with nesterov w -= lr (g + momentum v)";
  static constexpr OptimizerUse use = OptimizerUse::both;
  static constexpr OptimizerParameter parameters[] = {
      {{"momentum", 0, within_below(0, 1),
        "share of the last step that is kept, in a table by the rows that a batch touches; 0 keeps no state"}},
      {{"nesterov", 0, flag(), "look ahead along the momentum", "momentum"}}};
  static constexpr StateSlot slots[] = {{.name = "momentum", .when = "momentum"}};

  struct Step {
    float lr, momentum, ahead;
  };
  static Step step(const OptimizerSettings& s, double lr, int64_t) {
    const auto momentum = static_cast<float>(s.get("momentum"));
    return {static_cast<float>(lr), momentum, s.get("nesterov") != 0 ? momentum : 0.0f};
  }
  MTRANK_HD static float update(const Step& s, float w, float g, float (&state)[1]) {
    state[0] = s.momentum * state[0] + g;
    const float direction = s.ahead != 0.0f ? g + s.ahead * state[0] : state[0];
    return w - s.lr * direction;
  }
};

}  // namespace mtrank::optimizers
