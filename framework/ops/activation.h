#pragma once

#include <string>
#include <vector>

#include "framework/core/math.h"
#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// Element-wise activations, value and derivative side by side, for both devices: an ActivationOf below and a row of
/// activations.def. `kSavesInput`: the derivative needs the pre-activation z, not just y = f(z).
enum class Activation : uint8_t {
#define MTRANK_ACTIVATION(name) name,
#include "framework/ops/activations.def"
#undef MTRANK_ACTIVATION
};

template <Activation A>
struct ActivationOf;

template <>
struct ActivationOf<Activation::none> {
  static constexpr bool kSavesInput = false;
  template <class T>
  MTRANK_HD static T value(T z) {
    return z;
  }
  template <class T>
  MTRANK_HD static T derivative(T, T) {
    return T(1);
  }
};
template <>
struct ActivationOf<Activation::relu> {
  static constexpr bool kSavesInput = false;
  template <class T>
  MTRANK_HD static T value(T z) {
    return z < T(0) ? T(0) : z;
  }
  template <class T>
  MTRANK_HD static T derivative(T, T y) {
    return y > T(0) ? T(1) : T(0);
  }
};
/// Exact: z Φ(z), with erf.
template <>
struct ActivationOf<Activation::gelu> {
  static constexpr bool kSavesInput = true;
  template <class T>
  MTRANK_HD static T cdf(T z) {
    return T(0.5) * (T(1) + math::erf(z * T(0.70710678118654752)));
  }
  template <class T>
  MTRANK_HD static T value(T z) {
    return z * cdf(z);
  }
  template <class T>
  MTRANK_HD static T derivative(T z, T) {
    return cdf(z) + z * (T(0.39894228040143268) * math::exp(T(-0.5) * z * z));
  }
};
template <>
struct ActivationOf<Activation::silu> {
  static constexpr bool kSavesInput = true;
  template <class T>
  MTRANK_HD static T value(T z) {
    return z * math::sigmoid(z);
  }
  template <class T>
  MTRANK_HD static T derivative(T z, T) {
    const T s = math::sigmoid(z);
    return s * (T(1) + z * (T(1) - s));
  }
};
template <>
struct ActivationOf<Activation::tanh> {
  static constexpr bool kSavesInput = false;
  template <class T>
  MTRANK_HD static T value(T z) {
    return math::tanh(z);
  }
  template <class T>
  MTRANK_HD static T derivative(T, T y) {
    return T(1) - y * y;
  }
};
template <>
struct ActivationOf<Activation::sigmoid> {
  static constexpr bool kSavesInput = false;
  template <class T>
  MTRANK_HD static T value(T z) {
    return math::sigmoid(z);
  }
  template <class T>
  MTRANK_HD static T derivative(T, T y) {
    return y * (T(1) - y);
  }
};

/// Calls f with the ActivationOf of `a`.
template <class F>
void with_activation(Activation a, const F& f) {
  switch (a) {
#define MTRANK_ACTIVATION(name) \
  case Activation::name:        \
    return f(ActivationOf<Activation::name>{});
#include "framework/ops/activations.def"
#undef MTRANK_ACTIVATION
  }
}

/// f(z) of the activation `a`: for kernels that learn which one it is when they run.
MTRANK_HD float activation_value(Activation a, float z) {
  switch (a) {
#define MTRANK_ACTIVATION(name) \
  case Activation::name:        \
    return ActivationOf<Activation::name>::value(z);
#include "framework/ops/activations.def"
#undef MTRANK_ACTIVATION
  }
  return z;
}

/// The names configs use, in the order of activations.def.
const std::vector<std::string>& activation_names();
/// Throws ShapeError for a name that is none of them.
Activation parse_activation(const std::string& name);
bool saves_input(Activation activation);

/// An activation alone, where it cannot be part of a linear layer.   y = f(x)
/// x, y [B, C].  dx = dy * f'(x).  Saves nothing.  Deterministic.
ValueId activate(Builder& builder, ValueId x, const std::string& activation);

/// activation_gradient: dz = dy * f'(z). dy, y, z, dz [B, C]; z is absent where f' needs only y. Deterministic.

}  // namespace mtrank
