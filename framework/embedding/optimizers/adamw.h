#pragma once

#include "framework/embedding/optimizers/adam.h"

namespace mtrank::optimizers {

/// Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019).   w <- w - lr weight_decay w, then Adam.
struct AdamW {
  static constexpr std::string_view name = "adamw";
  static constexpr std::string_view summary = "w -= lr weight_decay w, then as adam with the undecayed gradient";
  static constexpr OptimizerUse use = OptimizerUse::dense;
  static constexpr bool decoupled_decay = true;
  static constexpr OptimizerParameter parameters[] = {
      {{"beta1", 0.9, within_below(0, 1), "decay of the mean of the gradient"}},
      {{"beta2", 0.999, within_below(0, 1), "decay of the mean of its square"}},
      {{"eps", 1e-8, within(0, 1e6), "added to the root"}}};
  static constexpr StateSlot slots[] = {{.name = "m"}, {.name = "v"}};

  struct Step {
    Adam::Step adam;
    float keep;
  };
  static Step step(const OptimizerSettings& s, double lr, int64_t t) {
    return {Adam::step(s, lr, t), static_cast<float>(1 - lr * s.weight_decay)};
  }
  MTRANK_HD static float update(const Step& s, float w, float g, float (&state)[2]) {
    return Adam::update(s.adam, w * s.keep, g, state);
  }
};

}  // namespace mtrank::optimizers
