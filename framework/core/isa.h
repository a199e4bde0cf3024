#pragma once

#include <string_view>

namespace mtrank {

/// Instruction sets the CPU kernels exist for. All give the same bits.
enum class Isa { scalar, avx2, avx512 };

/// The best set this CPU has, or what MTRANK_ISA (scalar | avx2 | avx512) asks for. Decided once.
/// Throws ConfigError when MTRANK_ISA names a set that is unknown or that this CPU lacks.
Isa isa();
std::string_view isa_name(Isa isa);
/// For tests and benchmarks: from now on `isa()` returns this.
void set_isa(Isa isa);

#if defined(__x86_64__)
#define MTRANK_TARGET_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")))
#define MTRANK_TARGET_AVX2 __attribute__((target("avx2,fma")))
#else
#define MTRANK_TARGET_AVX512
#define MTRANK_TARGET_AVX2
#endif
#define MTRANK_INLINE __attribute__((always_inline)) inline
/// On a lambda, after its parameter list.
#define MTRANK_INLINE_LAMBDA __attribute__((always_inline))

namespace isa_detail {
template <class F>
MTRANK_TARGET_AVX512 __attribute__((flatten, noinline)) void run_avx512(const F& f) {
  f();
}
template <class F>
MTRANK_TARGET_AVX2 __attribute__((flatten, noinline)) void run_avx2(const F& f) {
  f();
}
template <class F>
__attribute__((flatten, noinline)) void run_scalar(const F& f) {
  f();
}
}  // namespace isa_detail

/// Runs a loop written once, compiled three times. `f` must be `[=]() MTRANK_INLINE_LAMBDA { ... }` and call only
/// inline functions. The compiler vectorises the loop; reductions must be written with 16 explicit lanes, because
/// it may not reorder them, and fused multiply-adds with `__builtin_fma[f]`.
template <class F>
inline void for_isa(const F& f) {
  switch (isa()) {
    case Isa::avx512:
      return isa_detail::run_avx512(f);
    case Isa::avx2:
      return isa_detail::run_avx2(f);
    case Isa::scalar:
      return isa_detail::run_scalar(f);
  }
}

}  // namespace mtrank
