#pragma once

#include "framework/graph/autodiff.h"

namespace mtrank::testing {

/// An op for tests alone: the loss sum(x * g), whose gradient with respect to x is the given g. x, g [B, C].
inline void weighted_sum(Builder& builder, ValueId x, ValueId g) {
  static const auto kernel = []<class T>(const OpCall& call, T) {
    double sum = 0;
    for (int64_t r = 0; r < call.rows; ++r)
      for (int64_t c = 0; c < call.in[0].cols; ++c) {
        call.out[1].row<T>(r)[c] = call.in[1].row<const T>(r)[c];
        sum += static_cast<double>(call.in[0].row<const T>(r)[c]) * static_cast<double>(call.in[1].row<const T>(r)[c]);
      }
    *call.out[0].as<double>() = sum;
  };
  static const Op op{.name = "weighted_sum",
                     .summary = "L = sum(x * g)",
                     .backward = [](GradBuilder& grads, const OpNode& n) { grads.pass(n.outputs[1], n.inputs[0]); },
                     .cpu_f32 = [](const OpCall& call) { kernel(call, float{}); },
                     .cpu_f64 = [](const OpCall& call) { kernel(call, double{}); }};
  const ValueId sum = builder.add_value({.name = "loss", .kind = ValueKind::loss, .batch = false, .cols = 1});
  const ValueId dx = builder.add_value({.name = "dx", .cols = builder.cols(x)});
  builder.graph().losses.push_back({"weighted_sum", sum});
  builder.emit(op, {x, g}, {sum, dx}, {0, 0});
}

}  // namespace mtrank::testing
