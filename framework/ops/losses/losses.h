#pragma once

#include <array>
#include <string>

#include "framework/core/error.h"
#include "framework/graph/attributes.h"

#define MTRANK_LOSS_HEADERS
#include "framework/ops/losses/losses.def"
#undef MTRANK_LOSS_HEADERS

namespace mtrank {

/// Calls f with the struct of the loss of that name.
template <class F>
void with_loss(const std::string& type, const F& f) {
#define MTRANK_LOSS(row, Struct) \
  if (type == #row) return f(Struct{});
#include "framework/ops/losses/losses.def"
#undef MTRANK_LOSS
  MTRANK_ASSERT(!"a known loss");
}

/// The attribute of a loss node that holds its parameter i.
inline std::string loss_parameter_name(size_t i) { return "p" + std::to_string(i); }

/// The parameters of a loss node.
template <class Loss, class T>
std::array<T, kMaxLossParameters> loss_parameters(const Attributes& attributes) {
  std::array<T, kMaxLossParameters> p{};
  size_t i = 0;
  for (const Parameter& parameter : Loss::parameters) {
    p[i] = static_cast<T>(attributes.number(loss_parameter_name(i), parameter.otherwise));
    ++i;
  }
  return p;
}

}  // namespace mtrank
