#pragma once

#include "framework/ops/losses/pointwise.h"

namespace mtrank {

/// Squared error.   l(z, y) = (z - y)²
struct Mse {
  static constexpr const char* name = "mse";
  static constexpr const char* summary = "squared error";
  static constexpr bool binary = false;
  static constexpr std::span<const Parameter> parameters{};

  template <class T>
  MTRANK_HD static T value(T z, T y, const T*) {
    return (z - y) * (z - y);
  }
  template <class T>
  MTRANK_HD static T derivative(T z, T y, const T*) {
    return T(2) * (z - y);
  }
};

}  // namespace mtrank
