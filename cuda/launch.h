#pragma once

#include <cstdint>
#include <utility>

#include "cuda/check.h"
#include "framework/core/bf16.h"
#include "framework/core/error.h"
#include "framework/core/tensor.h"

namespace mtrank::cuda {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t to) { return ceil_div(a, to) * to; }

/// Launches `kernel` on `stream`. A grid of nothing is no launch.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, cudaStream_t stream, Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.stream = stream;
  MTRANK_CUDA(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...));
}

/// One thread an element, in blocks of 256.
template <class... Parameters, class... Arguments>
void launch_flat(void (*kernel)(Parameters...), int64_t threads, cudaStream_t stream, Arguments&&... arguments) {
  MTRANK_ASSERT(threads <= int64_t{UINT32_MAX} / 2);
  launch(kernel, dim3(static_cast<unsigned>(ceil_div(threads, 256))), dim3(256), stream,
         std::forward<Arguments>(arguments)...);
}

/// Calls f with a number of the type: bf16, else float.
template <class F>
void with_type(DType dtype, const F& f) {
  dtype == DType::bf16 ? f(bf16{}) : f(float{});
}

}  // namespace mtrank::cuda
