#include "framework/ops/activation.h"

#include "cuda/elementwise.cuh"

namespace mtrank::cuda {
namespace {

template <class A>
struct Value {
  static constexpr int kIn = 1, kOut = 1;
  MTRANK_HD void operator()(const float (&x)[1], float (&y)[1]) const { y[0] = A::value(x[0]); }
};

/// dy, y, z -> dz.
template <class A>
struct Derivative {
  static constexpr int kIn = 3, kOut = 1, kSummed = 0;
  MTRANK_HD void operator()(const float (&x)[3], float (&y)[1]) const { y[0] = x[0] * A::derivative(x[2], x[1]); }
};

Activation activation_of(const Call& call) { return parse_activation(call.node.attributes.text("activation")); }

}  // namespace

/// Moves 2 C numbers a row.
void launches::activation(const Call& call) {
  with_activation(activation_of(call), [&](auto f) { map(call, Value<decltype(f)>{}); });
}

/// Moves 3 C numbers a row.
void launches::activation_gradient(const Call& call) {
  with_activation(activation_of(call), [&](auto f) {
    // y or z, whichever the derivative needs.
    const DeviceView y = f.kSavesInput ? DeviceView{} : call.in[1], z = f.kSavesInput ? call.in[2] : DeviceView{};
    map(call, Derivative<decltype(f)>{}, {call.in[0], y, z}, {call.out[0]}, {call.accumulate[0]});
  });
}

}  // namespace mtrank::cuda
