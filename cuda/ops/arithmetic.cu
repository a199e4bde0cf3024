#include "framework/ops/arithmetic.h"

#include "cuda/elementwise.cuh"

namespace mtrank::cuda {
namespace {

template <char Op>
struct Arithmetic {
  static constexpr int kIn = 2, kOut = 1;
  MTRANK_HD void operator()(const float (&x)[2], float (&y)[1]) const {
    if constexpr (Op == '+') y[0] = x[0] + x[1];
    if constexpr (Op == '-') y[0] = x[0] - x[1];
    if constexpr (Op == '*') y[0] = x[0] * x[1];
    if constexpr (Op == '/') y[0] = x[0] / x[1];
  }
};

struct Affine {
  static constexpr int kIn = 1, kOut = 1;
  float scale, shift;
  MTRANK_HD void operator()(const float (&x)[1], float (&y)[1]) const { y[0] = scale * x[0] + shift; }
};

}  // namespace

/// Moves 3 C numbers a row.
void launches::arithmetic(const Call& call) {
  switch (call.node.attributes.text("op").front()) {
    case '+':
      return map(call, Arithmetic<'+'>{});
    case '-':
      return map(call, Arithmetic<'-'>{});
    case '*':
      return map(call, Arithmetic<'*'>{});
    case '/':
      return map(call, Arithmetic<'/'>{});
  }
  MTRANK_ASSERT(!"one of + - * /");
}

/// Moves 2 C numbers a row.
void launches::affine(const Call& call) {
  const Attributes& attributes = call.node.attributes;
  map(call, Affine{static_cast<float>(attributes.number("scale")), static_cast<float>(attributes.number("shift"))});
}

}  // namespace mtrank::cuda
