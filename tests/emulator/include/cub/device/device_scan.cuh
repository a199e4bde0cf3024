#pragma once

#include <cub/util_type.cuh>

#include "tests/emulator/emulator.h"

namespace cub {

struct DeviceScan {
  template <class In, class Out, class Count>
  static cudaError_t ExclusiveSum(void* temporary, size_t& bytes, In in, Out out, Count n, cudaStream_t stream = 0) {
    return sum(temporary, bytes, in, out, n, stream, false);
  }
  template <class In, class Out, class Count>
  static cudaError_t InclusiveSum(void* temporary, size_t& bytes, In in, Out out, Count n, cudaStream_t stream = 0) {
    return sum(temporary, bytes, in, out, n, stream, true);
  }

 private:
  template <class In, class Out, class Count>
  static cudaError_t sum(void* temporary, size_t& bytes, In in, Out out, Count n, cudaStream_t stream, bool inclusive) {
    constexpr size_t need = 1024;
    if (temporary == nullptr) return bytes = need, cudaSuccess;
    if (bytes < need) return cudaErrorInvalidValue;
    return mtrank::emulator::enqueue(stream, "cub::DeviceScan", [=] {
      mtrank::emulator::require_device(temporary, need, "cub::DeviceScan's storage");
      std::memset(temporary, mtrank::emulator::settings().poison, need);
      std::decay_t<decltype(*in)> total = 0;
      for (Count i = 0; i < n; ++i) {
        const auto value = in[i];
        out[i] = inclusive ? total + value : total;
        total += value;
      }
    });
  }
};

}  // namespace cub
