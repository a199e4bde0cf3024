#pragma once

#include "framework/core/math.h"
#include "framework/embedding/optimizer.h"

namespace mtrank::optimizers {

/// Adagrad with one accumulator a row (Mudigere et al., ISCA 2022).   h <- h + mean(g²);  w <- w - lr g / (sqrt(h) +
/// eps).
struct RowwiseAdagrad {
  static constexpr std::string_view name = "rowwise_adagrad";
  static constexpr std::string_view summary = "h += mean over the row of g^2; w -= lr g / (sqrt(h) + eps)";
  static constexpr OptimizerUse use = OptimizerUse::tables;
  static constexpr OptimizerParameter parameters[] = {
      {{"initial_accumulator", 0, within(0, 1e10), "where the sum of squares starts"}},
      {{"eps", 1e-8, within(0, 1e6), "added to the root"}}};
  static constexpr StateSlot slots[] = {
      {.name = "accumulator", .shape = SlotShape::row, .initial = "initial_accumulator"}};

  struct Step {
    float lr, eps;
  };
  static Step step(const OptimizerSettings& s, double lr, int64_t) {
    return {static_cast<float>(lr), static_cast<float>(s.get("eps"))};
  }
  /// What a row's gradient is multiplied by.
  MTRANK_HD static float row(const Step& s, float mean_square, float (&state)[1]) {
    state[0] += mean_square;
    return s.lr / divisor(math::sqrt(state[0]) + s.eps);
  }
  MTRANK_HD static float update(float w, float g, float factor) { return w - factor * g; }
};

}  // namespace mtrank::optimizers
