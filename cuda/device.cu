#include "cuda/device.h"

#include <string>

#include "cuda/check.h"
#include "cuda/memory.h"
#include "framework/core/error.h"

namespace mtrank::cuda {
namespace {

constexpr int kOldest = 80;  // compute capability times 10

std::string version(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }

}  // namespace

std::string Device::problem() {
  int driver = 0, runtime = 0, count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "no NVIDIA driver is installed here";
  const cudaError_t counted = cudaGetDeviceCount(&count);
  cudaGetLastError();
  cudaRuntimeGetVersion(&runtime);
  if (counted == cudaErrorInsufficientDriver)
    return "the NVIDIA driver is for CUDA " + version(driver) + ", and this build needs one for " + version(runtime);
  if (counted == cudaErrorNoDevice || (counted == cudaSuccess && count == 0))
    return "no GPU is visible (see nvidia-smi, and CUDA_VISIBLE_DEVICES)";
  if (counted != cudaSuccess) return std::string("the GPU cannot be used: ") + cudaGetErrorString(counted);
  cudaDeviceProp properties{};
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, 0); error != cudaSuccess)
    return std::string("the GPU cannot be used: ") + cudaGetErrorString(error);
  if (properties.major * 10 + properties.minor < kOldest)
    return std::string(properties.name) + " has compute capability " + std::to_string(properties.major) + "." +
           std::to_string(properties.minor) + ", and 8.0 is the oldest that is supported";
  return {};
}

std::vector<std::pair<std::string, std::string>> Device::facts() {
  int runtime = 0, driver = 0;
  cudaRuntimeGetVersion(&runtime);
  const size_t blas = cublasLtGetVersion();
  std::vector<std::pair<std::string, std::string>> rows{
      {"cuda", version(runtime)},
      {"cublaslt",
       std::to_string(blas / 10000) + "." + std::to_string(blas / 100 % 100) + "." + std::to_string(blas % 100)}};
  if (const std::string why = problem(); !why.empty()) {
    rows.emplace_back("gpu", "none: " + why);
    return rows;
  }
  cudaDeviceProp properties{};
  MTRANK_CUDA(cudaGetDeviceProperties(&properties, 0));
  MTRANK_CUDA(cudaDriverGetVersion(&driver));
  rows.emplace_back("gpu", std::string(properties.name) + ", compute capability " + std::to_string(properties.major) +
                               "." + std::to_string(properties.minor) + ", " + gib(properties.totalGlobalMem) +
                               ", driver for CUDA " + version(driver));
  return rows;
}

Device::Device() {
  if (const std::string why = problem(); !why.empty()) throw ResourceError(why + ". Use --device cpu");
  MTRANK_CUDA(cudaSetDevice(0));
}

size_t Device::free_bytes() const {
  size_t free = 0, total = 0;
  MTRANK_CUDA(cudaMemGetInfo(&free, &total));
  return free;
}

size_t Device::total_bytes() const {
  size_t free = 0, total = 0;
  MTRANK_CUDA(cudaMemGetInfo(&free, &total));
  return total;
}

std::string Device::describe() const {
  cudaDeviceProp properties{};
  MTRANK_CUDA(cudaGetDeviceProperties(&properties, 0));
  int driver = 0, runtime = 0;
  MTRANK_CUDA(cudaDriverGetVersion(&driver));
  MTRANK_CUDA(cudaRuntimeGetVersion(&runtime));
  std::string name;
  for (const char* c = properties.name; *c; ++c)
    if (*c != '"' && *c != '\\') name += *c;
  return "{\"name\":\"" + name + "\",\"compute_capability\":\"" + std::to_string(properties.major) + "." +
         std::to_string(properties.minor) + "\",\"multiprocessors\":" + std::to_string(properties.multiProcessorCount) +
         ",\"memory_bytes\":" + std::to_string(properties.totalGlobalMem) + ",\"driver\":\"" + version(driver) +
         "\",\"cuda\":\"" + version(runtime) + "\",\"cublaslt\":" + std::to_string(cublasLtGetVersion()) + "}";
}

}  // namespace mtrank::cuda
