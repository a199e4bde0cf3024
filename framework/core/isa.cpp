#include "framework/core/isa.h"

#include <atomic>
#include <cstdlib>
#include <string>

#include "framework/core/error.h"

namespace mtrank {
namespace {

bool supported(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx512)
    return supported(Isa::avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
  return isa == Isa::scalar;
}

Isa detect() {
  const char* asked = std::getenv("MTRANK_ISA");
  if (!asked || !*asked) return supported(Isa::avx512) ? Isa::avx512 : supported(Isa::avx2) ? Isa::avx2 : Isa::scalar;
  for (Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    if (isa_name(isa) != asked) continue;
    if (!supported(isa)) throw ConfigError("MTRANK_ISA=" + std::string(asked) + ": this CPU does not have it");
    return isa;
  }
  throw ConfigError("MTRANK_ISA=" + std::string(asked) + " is not one of scalar, avx2, avx512");
}

std::atomic<int>& current() {
  static std::atomic<int> value{static_cast<int>(detect())};
  return value;
}

}  // namespace

Isa isa() { return static_cast<Isa>(current().load(std::memory_order_relaxed)); }

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "?";
}

void set_isa(Isa isa) {
  if (!supported(isa)) throw ConfigError("this CPU does not have " + std::string(isa_name(isa)));
  current().store(static_cast<int>(isa));
}

}  // namespace mtrank
