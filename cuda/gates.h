#pragma once

#include "cuda/call.h"

namespace mtrank::cuda {

/// The most experts whose gates' softmax is a part of the mixture.
constexpr int kGatesTogether = 16;

/// A softmax and the mixture that it gates, or their gradients, in one launch, with the bits of two. Every thread of a
/// row takes the softmax of its own: a few exponentials beside the experts that it loads.
void launch_gated(const Call& softmax, const Call& mixture);
void launch_gated_gradient(const Call& mixture, const Call& softmax);

}  // namespace mtrank::cuda
