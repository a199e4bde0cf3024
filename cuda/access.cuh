#pragma once

#include <initializer_list>
#include <type_traits>

#include "cuda/call.h"
#include "framework/core/bf16.h"

/// Before a loop of a kernel whose arrays must stay in registers. The host's compiler does not know the pragma.
#if defined(__CUDA_ARCH__)
#define MTRANK_UNROLL _Pragma("unroll")
#else
#define MTRANK_UNROLL
#endif

/// How kernels read and write views: 16 bytes at a time where every view of a kernel allows it, else number by number.
namespace mtrank::cuda {

/// Writes an object of 8 or 16 bytes, which lies on a multiple of its size, by one store. Where nvcc takes the copy of
/// a struct apart, a store for each of its members would be left.
template <class T>
__device__ __forceinline__ void store_whole(void* to, const T& x) {
  using Words = std::conditional_t<sizeof(T) == 16, uint4, uint2>;
  static_assert(sizeof(T) == sizeof(Words) && alignof(T) == sizeof(T));
  Words words;
  __builtin_memcpy(&words, &x, sizeof x);
  __stwb(static_cast<Words*>(to), words);
}

/// n / d and n % d for n < 2^31 by a multiplication (Granlund and Montgomery, PLDI 1994). 1 <= d < 2^31.
struct Divider {
  uint32_t divisor = 1, magic = 1, shift = 0;

  Divider() = default;
  explicit Divider(int64_t d) : divisor(static_cast<uint32_t>(d)) {
    MTRANK_ASSERT(d >= 1 && d < int64_t{1} << 31);
    while ((uint64_t{1} << shift) < divisor) ++shift;
    magic = static_cast<uint32_t>((((uint64_t{1} << shift) - divisor) << 32) / divisor + 1);
  }
  MTRANK_HD uint32_t quotient(uint32_t n) const {
    return (static_cast<uint32_t>(uint64_t{n} * magic >> 32) + n) >> shift;
  }
  MTRANK_HD uint32_t remainder(uint32_t n) const { return n - quotient(n) * divisor; }
};

/// A view as a kernel gets it: f32 or bf16, null where absent.
struct Argument {
  void* data = nullptr;
  uint32_t ld = 0;
  uint32_t half = 0;  ///< bf16

  Argument() = default;
  explicit Argument(const DeviceView& view)
      : data(view.data), ld(static_cast<uint32_t>(view.ld)), half(view.dtype == DType::bf16) {
    MTRANK_ASSERT(!data || view.dtype == DType::f32 || view.dtype == DType::bf16);
    MTRANK_ASSERT(view.ld < int64_t{1} << 31);
  }
  template <class T>
  MTRANK_HD T* at(uint32_t row, uint32_t column) const {
    return static_cast<T*>(data) + (uint64_t{row} * ld + column);
  }
  MTRANK_HD float get(uint32_t row, uint32_t column) const {
    return half ? to_float(*at<const bf16>(row, column)) : *at<const float>(row, column);
  }
  MTRANK_HD void put(uint32_t row, uint32_t column, float x) const {
    if (half)
      *at<bf16>(row, column) = to_bf16(x);
    else
      *at<float>(row, column) = x;
  }
  /// x as it is once it is put.
  MTRANK_HD float kept(float x) const { return half ? to_float(to_bf16(x)) : x; }
  /// y = x, or y += x.
  MTRANK_HD void write(uint32_t row, uint32_t column, float x, bool add) const {
    put(row, column, add ? get(row, column) + x : x);
  }
};

/// V columns at once, 16 bytes, as they are in memory. Of the last ones of a row only `left` < V may be there: the
/// others are 0 and are not written.
template <class T>
struct VectorAccess {
  static constexpr int V = 16 / sizeof(T);
  struct alignas(16) Vector {
    T v[V] = {};
    MTRANK_HD float operator[](int j) const { return to_float(v[j]); }
  };
  /// x as it is in memory once it is stored.
  MTRANK_HD static float kept(float x) { return to_float(from_float<T>(x)); }
  MTRANK_HD static Vector load(const Argument& a, uint32_t row, uint32_t column, uint32_t left) {
    const T* from = a.at<const T>(row, column);
    if (left >= V) return *reinterpret_cast<const Vector*>(from);
    Vector x;
    MTRANK_UNROLL
    for (int j = 0; j < V; ++j)
      if (static_cast<uint32_t>(j) < left) x.v[j] = from[j];
    return x;
  }
  MTRANK_HD static void store(const Argument& a, uint32_t row, uint32_t column, uint32_t left, const float (&x)[V]) {
    T* to = a.at<T>(row, column);
    Vector y;
    MTRANK_UNROLL
    for (int j = 0; j < V; ++j) y.v[j] = from_float<T>(x[j]);
    if (left >= V) {
      *reinterpret_cast<Vector*>(to) = y;
      return;
    }
    MTRANK_UNROLL
    for (int j = 0; j < V; ++j)
      if (static_cast<uint32_t>(j) < left) to[j] = y.v[j];
  }
};

/// One column at a time, whatever the views are.
struct PlainAccess {
  static constexpr int V = 1;
  struct Vector {
    float v[1] = {};
    MTRANK_HD float operator[](int j) const { return v[j]; }
  };
  MTRANK_HD static Vector load(const Argument& a, uint32_t row, uint32_t column, uint32_t) {
    return {{a.get(row, column)}};
  }
  MTRANK_HD static void store(const Argument& a, uint32_t row, uint32_t column, uint32_t, const float (&x)[1]) {
    a.put(row, column, x[0]);
  }
};

/// Whether the rows of a view, cut into parts of `part` columns (0: not cut), begin at multiples of 16 bytes.
inline bool aligned(const DeviceView& view, int64_t part = 0) {
  const auto size = static_cast<int64_t>(dtype_size(view.dtype));
  return reinterpret_cast<uintptr_t>(view.data) % 16 == 0 && (view.rows == 1 || view.ld * size % 16 == 0) &&
         part * size % 16 == 0;
}

/// Calls f with the widest access that all views that are there allow.
template <class F>
void with_access(std::span<const DeviceView> views, int64_t part, const F& f) {
  const DeviceView* first = nullptr;
  bool wide = true;
  for (const DeviceView& view : views) {
    if (!view) continue;
    if (!first) first = &view;
    wide = wide && view.dtype == first->dtype && aligned(view, part);
  }
  if (!first) return;
  if (!wide)
    f(PlainAccess{});
  else if (first->dtype == DType::bf16)
    f(VectorAccess<bf16>{});
  else
    f(VectorAccess<float>{});
}
template <class F>
void with_access(std::initializer_list<DeviceView> views, int64_t part, const F& f) {
  with_access(std::span<const DeviceView>(views.begin(), views.size()), part, f);
}

}  // namespace mtrank::cuda
