#pragma once

#include <functional>
#include <tuple>

#include "tests/emulator/kernel_language.h"
#include "tests/emulator/runtime_api.h"

/// Stands in for CUDA's header of this name: tests/emulator/emulator.h says how it runs.

namespace mtrank::emulator {
cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> thread);
}

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
  static_assert((std::is_trivially_copyable_v<P> && ... && true), "kernel arguments are copied byte by byte");
  static_assert((sizeof(P) + ... + size_t{0}) <= 32764, "a kernel takes at most 32764 bytes of arguments");
  return mtrank::emulator::launch(
      *config, reinterpret_cast<const void*>(kernel),
      [kernel, values = std::tuple<P...>(std::forward<A>(arguments)...)] { std::apply(kernel, values); });
}
