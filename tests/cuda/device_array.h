#pragma once

#include <cuda_runtime.h>

#include <span>
#include <vector>

#include "cuda/check.h"
#ifdef MTRANK_EMULATED
#include "tests/emulator/emulator.h"
#endif

/// What tests of kernels share, on a GPU and on the emulated one.
namespace mtrank::testing {

inline bool has_device() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

/// Device memory for the length of a test, filled with bytes of 0xEE until it is written.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t n) : n_(n) {
    MTRANK_CUDA(cudaMalloc(&at_, n * sizeof(T) + 1));
    MTRANK_CUDA(cudaMemset(at_, 0xEE, n * sizeof(T)));
  }
  explicit DeviceArray(std::span<const T> values) : DeviceArray(values.size()) { set(values); }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(std::span<const T>(values)) {}
  ~DeviceArray() { cudaFree(at_); }
  DeviceArray(DeviceArray&& other) noexcept : at_(std::exchange(other.at_, nullptr)), n_(other.n_) {}
  DeviceArray& operator=(DeviceArray&&) = delete;

  T* get() const { return static_cast<T*>(at_); }
  size_t size() const { return n_; }
  void set(std::span<const T> values) {
    MTRANK_CUDA(cudaMemcpy(at_, values.data(), values.size_bytes(), cudaMemcpyHostToDevice));
  }
  std::vector<T> values() const {
    std::vector<T> out(n_);
    MTRANK_CUDA(cudaDeviceSynchronize());
    MTRANK_CUDA(cudaMemcpy(out.data(), at_, n_ * sizeof(T), cudaMemcpyDeviceToHost));
    return out;
  }

 private:
  void* at_ = nullptr;
  size_t n_;
};

/// Calls f several times; the emulated GPU runs threads and blocks in another order each time.
template <class F>
void in_several_orders(const F& f) {
#ifndef MTRANK_EMULATED
  for (int i = 0; i < 3; ++i) f();
#else
  using emulator::Order;
  for (const Order order : {Order::forward, Order::reverse, Order::random}) {
    emulator::Settings s = emulator::settings();
    s.order = order;
    const emulator::WithSettings with(s);
    f();
  }
#endif
}

}  // namespace mtrank::testing
