#pragma once

#include "framework/ops/losses/pointwise.h"

namespace mtrank {

/// Binary cross-entropy on a logit.   l(z, y) = -(p t log σ(z) + (1 - t) log(1 - σ(z))),  t = y (1 - ε) + ε / 2
/// y in [0, 1]; p = pos_weight; ε = label_smoothing.
struct Bce {
  static constexpr const char* name = "bce";
  static constexpr const char* summary = "binary cross-entropy on a logit";
  static constexpr bool binary = true;
  static constexpr Parameter parameters[] = {
      {"pos_weight", 1, above_within(0, 1e9), "weight of positives"},
      {"label_smoothing", 0, within_below(0, 1), "s: y becomes y (1 - s) + s / 2"},
  };

  template <class T>
  MTRANK_HD static T target(T y, const T* p) {
    return y * (T(1) - p[1]) + T(0.5) * p[1];
  }
  template <class T>
  MTRANK_HD static T value(T z, T y, const T* p) {
    const T t = target(y, p);
    return p[0] * t * math::softplus(-z) + (T(1) - t) * math::softplus(z);
  }
  template <class T>
  MTRANK_HD static T derivative(T z, T y, const T* p) {
    const T t = target(y, p), s = math::sigmoid(z);
    return (T(1) - t) * s - p[0] * t * (T(1) - s);
  }
};

}  // namespace mtrank
