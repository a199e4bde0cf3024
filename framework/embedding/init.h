#pragma once

#include <cstdint>
#include <string_view>

#include "framework/core/philox.h"
#include "framework/core/thread_pool.h"
#include "framework/graph/graph.h"

namespace mtrank {

/// Initial weights [begin, end) of a tensor, written to out[0 ..]. Element i is a function of (seed, "init", name, i)
/// alone: normal a * normal01(philox(0, i)), uniform a + (b - a) * uniform01(philox(0, i)[0]).
void fill_weights(const WeightInit& init, const Philox& random, int64_t begin, int64_t end, float* out);

/// All n weights of the tensor `name`, by every thread.
void initialize(ThreadPool& pool, const WeightInit& init, uint64_t seed, std::string_view name, int64_t n, float* out);

}  // namespace mtrank
