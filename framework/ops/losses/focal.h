#pragma once

#include "framework/ops/losses/pointwise.h"

namespace mtrank {

/// Focal loss on a logit (Lin et al., ICCV 2017), y in [0, 1].
/// l(z, y) = -(y α σ(-z)^γ log σ(z) + (1 - y) (1 - α) σ(z)^γ log σ(-z))
struct Focal {
  static constexpr const char* name = "focal";
  static constexpr const char* summary = "cross-entropy that counts easy rows less";
  static constexpr bool binary = true;
  static constexpr Parameter parameters[] = {
      {"gamma", 2, within(0, 1e3), "how much easy rows count less; 0 is cross-entropy"},
      {"alpha", 0.25, between(0, 1), "weight of positives; 1 - alpha of negatives"},
  };

  /// The loss of a positive row, and its derivative.
  template <class T>
  MTRANK_HD static T positive(T z, T gamma) {
    return math::exp(-gamma * math::softplus(z)) * math::softplus(-z);
  }
  template <class T>
  MTRANK_HD static T positive_derivative(T z, T gamma) {
    const T s = math::sigmoid(z);
    return -math::exp(-gamma * math::softplus(z)) * (gamma * s * math::softplus(-z) + math::sigmoid(-z));
  }
  template <class T>
  MTRANK_HD static T value(T z, T y, const T* p) {
    return y * p[1] * positive(z, p[0]) + (T(1) - y) * (T(1) - p[1]) * positive(-z, p[0]);
  }
  template <class T>
  MTRANK_HD static T derivative(T z, T y, const T* p) {
    return y * p[1] * positive_derivative(z, p[0]) - (T(1) - y) * (T(1) - p[1]) * positive_derivative(-z, p[0]);
  }
};

}  // namespace mtrank
