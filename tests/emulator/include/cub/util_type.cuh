#pragma once

#include <cuda_runtime.h>

namespace cub {

/// Two buffers of which one holds the values; a sort says in `selector` which it left them in.
template <class T>
struct DoubleBuffer {
  T* d_buffers[2] = {nullptr, nullptr};
  int selector = 0;

  DoubleBuffer() = default;
  DoubleBuffer(T* current, T* alternate) : d_buffers{current, alternate} {}
  T* Current() const { return d_buffers[selector]; }
  T* Alternate() const { return d_buffers[selector ^ 1]; }
};

}  // namespace cub
