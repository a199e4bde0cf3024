#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include "tests/emulator/emulator.h"

namespace mtrank::emulator {

/// `values` lies on the device for the length of a test.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values) : n_(values.size()) {
    EXPECT_EQ(cudaMalloc(&at_, n_ * sizeof(T)), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(at_, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~OnDevice() { EXPECT_EQ(cudaFree(at_), cudaSuccess); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  T* get() const { return at_; }
  std::vector<T> values() const {
    std::vector<T> out(n_);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(out.data(), at_, n_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return out;
  }

 private:
  T* at_ = nullptr;
  size_t n_;
};

template <class... P, class... A>
cudaError_t run_on(cudaStream_t stream, dim3 grid, dim3 block, void (*kernel)(P...), A&&... arguments) {
  cudaLaunchConfig_t config = {};
  config.stream = stream;
  config.gridDim = grid;
  config.blockDim = block;
  return cudaLaunchKernelEx(&config, kernel, std::forward<A>(arguments)...);
}

template <class... P, class... A>
cudaError_t run(dim3 grid, dim3 block, void (*kernel)(P...), A&&... arguments) {
  return run_on(nullptr, grid, block, kernel, std::forward<A>(arguments)...);
}

}  // namespace mtrank::emulator
