#include "cuda/initialize.h"

#include <algorithm>

#include "cuda/launch.h"

namespace mtrank::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 4096;

__device__ int64_t first_element() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ int64_t element_step() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

__global__ void constant_kernel(float value, int64_t n, float* out) {
  for (int64_t i = first_element(); i < n; i += element_step()) out[i] = value;
}

__global__ void normal_kernel(Philox random, double deviation, int64_t n, float* out) {
  for (int64_t i = first_element(); i < n; i += element_step())
    out[i] = static_cast<float>(deviation * normal01(random(0, static_cast<uint64_t>(i))));
}

__global__ void uniform_kernel(Philox random, double low, double high, int64_t n, float* out) {
  for (int64_t i = first_element(); i < n; i += element_step()) {
    const double u = static_cast<double>(uniform01(random(0, static_cast<uint64_t>(i))[0]));
    out[i] = static_cast<float>(low + (high - low) * u);
  }
}

}  // namespace

void fill_weights(cudaStream_t stream, const WeightInit& init, const Philox& random, int64_t n, float* out) {
  const dim3 grid(static_cast<unsigned>(std::min(ceil_div(n, kThreads), kMostBlocks))), block(kThreads);
  switch (init.kind) {
    case WeightInit::Kind::zeros:
      return launch(constant_kernel, grid, block, stream, 0.0f, n, out);
    case WeightInit::Kind::constant:
      return launch(constant_kernel, grid, block, stream, static_cast<float>(init.a), n, out);
    case WeightInit::Kind::normal:
      return launch(normal_kernel, grid, block, stream, random, init.a, n, out);
    case WeightInit::Kind::uniform:
      return launch(uniform_kernel, grid, block, stream, random, init.a, init.b, n, out);
  }
}

}  // namespace mtrank::cuda
