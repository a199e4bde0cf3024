#pragma once

#include <span>
#include <string>

#include "framework/core/math.h"
#include "framework/graph/builder.h"
#include "framework/ops/ops.h"

namespace mtrank {

/// The logit of a product of probabilities, for a loss on the product (ESMM, Ma et al., SIGIR 2018).
///   σ(s) = Π_i σ(z_i);  for two: -s = log(e^-a + e^-b + e^-(a+b))
/// z_i, s [B, C].  ds/da = (e^-a + e^-(a+b)) / e^-s, in [0, 1].  Saves nothing.  No logit overflows it: it never leaves
/// log space.  More than two are folded in their order.  Throws ShapeError when the widths differ.  Deterministic.
ValueId product_logit(Builder& builder, std::span<const ValueId> logits);

/// s and its derivatives, for both devices.
template <class T>
struct ProductLogit {
  T value, da, db;
};
template <class T>
MTRANK_HD ProductLogit<T> product_logit_of(T a, T b) {
  const T u = -a, v = -b, w = u + v;
  const T most = u > v ? (u > w ? u : w) : (v > w ? v : w);
  const T eu = math::exp(u - most), ev = math::exp(v - most), ew = math::exp(w - most);
  const T sum = eu + ev + ew;
  return {-(most + math::log(sum)), (eu + ew) / sum, (ev + ew) / sum};
}

}  // namespace mtrank
