#pragma once

#include "framework/ops/losses/pointwise.h"

namespace mtrank {

/// Huber loss (Huber, 1964): a parabola near 0, straight lines beyond.
///   l(z, y) = d² / 2 for |d| <= δ, δ (|d| - δ / 2) beyond, d = z - y
struct Huber {
  static constexpr const char* name = "huber";
  static constexpr const char* summary = "squared error near 0, absolute error beyond delta";
  static constexpr bool binary = false;
  static constexpr Parameter parameters[] = {
      {"delta", 1, above_within(0, 1e9), "where the square becomes a line"},
  };

  template <class T>
  MTRANK_HD static T value(T z, T y, const T* p) {
    const T d = math::abs(z - y);
    return d <= p[0] ? T(0.5) * d * d : p[0] * (d - T(0.5) * p[0]);
  }
  template <class T>
  MTRANK_HD static T derivative(T z, T y, const T* p) {
    const T d = z - y;
    return d > p[0] ? p[0] : d < -p[0] ? -p[0] : d;
  }
};

}  // namespace mtrank
