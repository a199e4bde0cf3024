#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "framework/core/philox.h"
#include "framework/graph/graph.h"

namespace mtrank::cuda {

/// All n weights of a tensor: the numbers of mtrank::fill_weights, bit for bit. random: (seed, "init", name); n may
/// exceed 2^32. Writes 4 n bytes; the normal quantile is about 90 double operations an element.
void fill_weights(cudaStream_t stream, const WeightInit& init, const Philox& random, int64_t n, float* out);

}  // namespace mtrank::cuda
