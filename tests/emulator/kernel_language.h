#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

/// CUDA C++ as kernels see it, for a C++ compiler. Shared memory is static only; atomics on floats do not exist, so
/// that using one does not compile.

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

// As the device's compiler has it, they alias everything.
#define MTRANK_VECTOR2(name, type)                                    \
  struct __attribute__((may_alias, aligned(2 * sizeof(type)))) name { \
    type x, y;                                                        \
  };                                                                  \
  inline name make_##name(type x, type y) { return {x, y}; }
#define MTRANK_VECTOR3(name, type) \
  struct name {                    \
    type x, y, z;                  \
  };                               \
  inline name make_##name(type x, type y, type z) { return {x, y, z}; }
#define MTRANK_VECTOR4(name, type)                                    \
  struct __attribute__((may_alias, aligned(4 * sizeof(type)))) name { \
    type x, y, z, w;                                                  \
  };                                                                  \
  inline name make_##name(type x, type y, type z, type w) { return {x, y, z, w}; }
MTRANK_VECTOR2(int2, int)
MTRANK_VECTOR2(uint2, unsigned)
MTRANK_VECTOR2(float2, float)
MTRANK_VECTOR2(double2, double)
MTRANK_VECTOR2(ushort2, unsigned short)
MTRANK_VECTOR2(longlong2, long long)
MTRANK_VECTOR2(ulonglong2, unsigned long long)
MTRANK_VECTOR3(uint3, unsigned)
MTRANK_VECTOR3(float3, float)
MTRANK_VECTOR4(int4, int)
MTRANK_VECTOR4(uint4, unsigned)
MTRANK_VECTOR4(float4, float)
MTRANK_VECTOR4(ushort4, unsigned short)
MTRANK_VECTOR4(uchar4, unsigned char)
#undef MTRANK_VECTOR2
#undef MTRANK_VECTOR3
#undef MTRANK_VECTOR4

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

/// Of the thread that runs; they change at every barrier and warp operation.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace mtrank::emulator {

enum class WarpOp { shuffle, ballot, sync };

/// The calling thread waits until every live lane of `mask` has called with the same operation and mask. A shuffle
/// returns what lane `source` gave, or garbage where that lane took no part; a ballot the lanes that gave a value.
uint64_t warp_operation(WarpOp op, unsigned mask, uint64_t value, int source);
/// Waits for every live thread of the block; returns how many of them gave true.
int block_barrier(bool predicate);
int lane();
[[noreturn]] void trap();
/// Aborts unless `at` is a multiple of `bytes`.
void require_aligned(const void* at, size_t bytes, const char* access);

template <class T>
T shuffle(unsigned mask, T value, int source) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "shuffles move 4 or 8 byte numbers");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = warp_operation(WarpOp::shuffle, mask, bits, source);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

template <class To, class From>
To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}

}  // namespace mtrank::emulator

inline void __syncthreads() { mtrank::emulator::block_barrier(false); }
inline int __syncthreads_count(int predicate) { return mtrank::emulator::block_barrier(predicate != 0); }
inline int __syncthreads_or(int predicate) { return mtrank::emulator::block_barrier(predicate != 0) != 0; }
inline int __syncthreads_and(int predicate) { return mtrank::emulator::block_barrier(predicate == 0) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  mtrank::emulator::warp_operation(mtrank::emulator::WarpOp::sync, mask, 0, 0);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
[[noreturn]] inline void __trap() { mtrank::emulator::trap(); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize) {
  return mtrank::emulator::shuffle(mask, value, (mtrank::emulator::lane() & ~(width - 1)) | (source & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = warpSize) {
  const int lane = mtrank::emulator::lane(), source = lane ^ bits;
  return mtrank::emulator::shuffle(mask, value, source <= (lane | (width - 1)) ? source : lane);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  const int lane = mtrank::emulator::lane(), source = lane + static_cast<int>(delta);
  return mtrank::emulator::shuffle(mask, value, source <= (lane | (width - 1)) ? source : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  const int lane = mtrank::emulator::lane(), source = lane - static_cast<int>(delta);
  return mtrank::emulator::shuffle(mask, value, source >= (lane & ~(width - 1)) ? source : lane);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return static_cast<unsigned>(
      mtrank::emulator::warp_operation(mtrank::emulator::WarpOp::ballot, mask, predicate != 0, 0));
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0; }
/// Which lanes run together is never promised: here each runs alone.
inline unsigned __activemask() { return 1u << mtrank::emulator::lane(); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((uint64_t{a} * b) >> 32); }
inline unsigned __float_as_uint(float x) { return mtrank::emulator::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return mtrank::emulator::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return mtrank::emulator::bit_cast<float>(x); }
inline float __int_as_float(int x) { return mtrank::emulator::bit_cast<float>(x); }
inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float rsqrtf(float x) { return 1.0f / __builtin_sqrtf(x); }

#define MTRANK_LOAD(name)                                      \
  template <class T>                                           \
  T name(const T* from) {                                      \
    mtrank::emulator::require_aligned(from, sizeof(T), #name); \
    return *from;                                              \
  }
#define MTRANK_STORE(name)                                   \
  template <class T>                                         \
  void name(T* to, T value) {                                \
    mtrank::emulator::require_aligned(to, sizeof(T), #name); \
    *to = value;                                             \
  }
MTRANK_LOAD(__ldg)
MTRANK_LOAD(__ldcg)
MTRANK_LOAD(__ldca)
MTRANK_LOAD(__ldcs)
MTRANK_STORE(__stwb)
MTRANK_STORE(__stcg)
MTRANK_STORE(__stcs)
MTRANK_STORE(__stwt)
#undef MTRANK_LOAD
#undef MTRANK_STORE

#define MTRANK_MIN_MAX(type)                                \
  inline type min(type a, type b) { return b < a ? b : a; } \
  inline type max(type a, type b) { return a < b ? b : a; }
MTRANK_MIN_MAX(int)
MTRANK_MIN_MAX(unsigned)
MTRANK_MIN_MAX(long)
MTRANK_MIN_MAX(unsigned long)
MTRANK_MIN_MAX(long long)
MTRANK_MIN_MAX(unsigned long long)
#undef MTRANK_MIN_MAX
/// As on the device: the other one where one is NaN.
inline float min(float a, float b) { return __builtin_fminf(a, b); }
inline float max(float a, float b) { return __builtin_fmaxf(a, b); }
inline double min(double a, double b) { return __builtin_fmin(a, b); }
inline double max(double a, double b) { return __builtin_fmax(a, b); }

#define MTRANK_ATOMICS(type)                                                                                 \
  inline type atomicAdd(type* at, type value) { return std::exchange(*at, static_cast<type>(*at + value)); } \
  inline type atomicMax(type* at, type value) { return std::exchange(*at, max(*at, value)); }                \
  inline type atomicMin(type* at, type value) { return std::exchange(*at, min(*at, value)); }                \
  inline type atomicOr(type* at, type value) { return std::exchange(*at, *at | value); }                     \
  inline type atomicAnd(type* at, type value) { return std::exchange(*at, *at & value); }                    \
  inline type atomicExch(type* at, type value) { return std::exchange(*at, value); }                         \
  inline type atomicCAS(type* at, type compare, type value) { return std::exchange(*at, *at == compare ? value : *at); }
MTRANK_ATOMICS(int)
MTRANK_ATOMICS(unsigned)
MTRANK_ATOMICS(unsigned long long)
#undef MTRANK_ATOMICS
