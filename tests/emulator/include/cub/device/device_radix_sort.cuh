#pragma once

#include <cub/util_type.cuh>

#include <algorithm>
#include <numeric>
#include <vector>

#include "tests/emulator/emulator.h"

namespace cub {

/// Stable, over the bits [begin_bit, end_bit) of unsigned keys. Whatever else CUB may write, this fills with garbage:
/// the temporary storage, and of double buffers the ones that do not end up current.
struct DeviceRadixSort {
  template <class Key, class Value, class Count>
  static cudaError_t SortPairs(void* temporary, size_t& bytes, const Key* keys_in, Key* keys_out,
                               const Value* values_in, Value* values_out, Count n, int begin_bit = 0,
                               int end_bit = sizeof(Key) * 8, cudaStream_t stream = 0) {
    // CUB needs a second copy of keys and values here.
    const size_t need = 1024 + static_cast<size_t>(n) * (sizeof(Key) + sizeof(Value));
    if (temporary == nullptr) return bytes = need, cudaSuccess;
    if (bytes < need || begin_bit < 0 || begin_bit > end_bit || end_bit > static_cast<int>(sizeof(Key) * 8))
      return cudaErrorInvalidValue;
    return sort(temporary, need, keys_in, keys_out, values_in, values_out, n, begin_bit, end_bit, stream, false);
  }

  template <class Key, class Value, class Count>
  static cudaError_t SortPairs(void* temporary, size_t& bytes, DoubleBuffer<Key>& keys, DoubleBuffer<Value>& values,
                               Count n, int begin_bit = 0, int end_bit = sizeof(Key) * 8, cudaStream_t stream = 0) {
    const size_t need = 1024;
    if (temporary == nullptr) return bytes = need, cudaSuccess;
    if (bytes < need || begin_bit < 0 || begin_bit > end_bit || end_bit > static_cast<int>(sizeof(Key) * 8))
      return cudaErrorInvalidValue;
    const bool odd = (end_bit - begin_bit + 7) / 8 % 2 == 1;  // a pass moves eight bits' worth to the other buffer
    Key* keys_in = keys.Current();
    Value* values_in = values.Current();
    if (odd) keys.selector ^= 1, values.selector ^= 1;
    Key* const garbage_keys = keys.Alternate();
    Value* const garbage_values = values.Alternate();
    if (const cudaError_t e = sort<Key, Value>(temporary, need, keys_in, keys.Current(), values_in, values.Current(), n,
                                               begin_bit, end_bit, stream, true))
      return e;
    return mtrank::emulator::enqueue(stream, "cub::DeviceRadixSort", [garbage_keys, garbage_values, n] {
      fill(garbage_keys, static_cast<size_t>(n));
      fill(garbage_values, static_cast<size_t>(n));
    });
  }

 private:
  template <class T>
  static void fill(T* at, size_t n) {
    mtrank::emulator::require_device(at, n * sizeof(T), "cub::DeviceRadixSort's buffer");
    std::memset(static_cast<void*>(at), mtrank::emulator::settings().poison, n * sizeof(T));
  }

  template <class Key, class Value>
  static cudaError_t sort(void* temporary, size_t bytes, const Key* keys_in, Key* keys_out, const Value* values_in,
                          Value* values_out, size_t n, int begin_bit, int end_bit, cudaStream_t stream,
                          bool may_overlap) {
    static_assert(std::is_unsigned_v<Key>, "the emulated sort knows unsigned keys");
    if (!may_overlap && n > 0 && (keys_in == keys_out || values_in == values_out)) return cudaErrorInvalidValue;
    return mtrank::emulator::enqueue(stream, "cub::DeviceRadixSort", [=] {
      fill(static_cast<char*>(temporary), bytes);
      mtrank::emulator::require_device(keys_in, n * sizeof(Key), "cub::DeviceRadixSort's keys");
      mtrank::emulator::require_device(values_in, n * sizeof(Value), "cub::DeviceRadixSort's values");
      const std::vector<Key> keys(keys_in, keys_in + n);
      const std::vector<Value> values(values_in, values_in + n);
      fill(keys_out, n);
      fill(values_out, n);
      const int bits = end_bit - begin_bit;
      const Key mask = bits == 0 ? Key{0} : static_cast<Key>(~Key{0}) >> (static_cast<int>(sizeof(Key)) * 8 - bits);
      std::vector<size_t> order(n);
      std::iota(order.begin(), order.end(), size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        return ((keys[a] >> begin_bit) & mask) < ((keys[b] >> begin_bit) & mask);
      });
      for (size_t i = 0; i < n; ++i) keys_out[i] = keys[order[i]], values_out[i] = values[order[i]];
    });
  }
};

}  // namespace cub
