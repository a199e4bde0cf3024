#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>

#include "cuda/launch.h"

namespace mtrank::cuda {

/// A run of bytes that travels as a kernel's parameter.
struct PutBytes {
  static constexpr int kWords = 224;
  uint4 word[kWords];
};

/// Copies `words` words of 16 bytes of the parameter to `to`.
void put_words(cudaStream_t stream, const PutBytes& from, int words, uint4* to);

/// Copies small host data to device memory as the parameters of launches (3.5 KiB each): nothing on the host needs to
/// outlive the call, and a captured graph keeps its own copy. `to` lies on a multiple of 16 bytes and has room for
/// whole words of 16 bytes: put_bytes<T>(n).
template <class T>
void put(cudaStream_t stream, std::span<const T> from, T* to) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto* bytes = reinterpret_cast<const std::byte*>(from.data());
  for (size_t at = 0; at < from.size_bytes(); at += sizeof(PutBytes)) {
    const size_t here = std::min(sizeof(PutBytes), from.size_bytes() - at);
    PutBytes piece{};
    std::memcpy(piece.word, bytes + at, here);
    put_words(stream, piece, static_cast<int>(ceil_div(static_cast<int64_t>(here), sizeof(uint4))),
              reinterpret_cast<uint4*>(reinterpret_cast<std::byte*>(to) + at));
  }
}

/// Bytes that `put` may write for n elements.
template <class T>
constexpr size_t put_bytes(size_t n) {
  return (n * sizeof(T) + sizeof(uint4) - 1) / sizeof(uint4) * sizeof(uint4);
}

}  // namespace mtrank::cuda
