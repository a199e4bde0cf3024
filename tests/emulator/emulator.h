#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/emulator/kernel_language.h"
#include "tests/emulator/runtime_api.h"

/// What tests may turn, and what the stand-ins of the CUDA libraries share. A mistake that a GPU would answer with
/// wrong numbers or a fault ends the process with a message that names the kernel or call.
namespace mtrank::emulator {

enum class Order { forward, reverse, random };
/// When work on a stream runs: at the call, or as late as events and synchronisation allow.
enum class Timing { eager, deferred };

struct Settings {
  Order order = Order::forward;   ///< of blocks, threads and, deferred, the nodes of a graph. MTRANK_EMULATOR_ORDER
  Timing timing = Timing::eager;  ///< MTRANK_EMULATOR_TIMING
  uint64_t seed = 1;              ///< of Order::random
  /// Every byte of memory that nothing was written to: huge numbers, or 0xFF, numbers that are none.
  /// MTRANK_EMULATOR_MEMORY=nan
  unsigned char poison = 0xFB;
  size_t memory = size_t{8} << 30;  ///< bytes that the device pretends to have
  int devices = 1;
  int driver_version = 13000;
  int compute_capability = 90;         ///< times 10
  std::vector<uint32_t> refused;       ///< epilogues for which cuBLASLt's heuristic finds nothing
  std::vector<uint32_t> other_kernel;  ///< epilogues that it does with another algorithm
  std::vector<uint32_t> fails;         ///< epilogues that it suggests an algorithm for and then does not do
};
Settings& settings();

/// Sets and, at the end, restores.
class WithSettings {
 public:
  explicit WithSettings(const Settings& s) : before_(std::exchange(settings(), s)) {}
  ~WithSettings() { settings() = before_; }
  WithSettings(const WithSettings&) = delete;
  WithSettings& operator=(const WithSettings&) = delete;

 private:
  Settings before_;
};

size_t allocated_bytes();
/// Kernels, copies, fills and library calls that have run since the program began.
uint64_t operations_run();

/// Puts work on a stream, into a capture's graph where one is active. `run` must own what it needs.
cudaError_t enqueue(cudaStream_t stream, std::string name, std::function<void()> run);
/// Aborts unless all `bytes` lie in one allocation of the device.
void require_device(const void* at, size_t bytes, const std::string& what);
/// Runs `thread` once for every thread of the grid; `name` is asked for when something is wrong.
void run_grid(const std::function<std::string()>& name, dim3 grid, dim3 block, const std::function<void()>& thread);
/// Numbers below `n` in some order, as settings() say.
std::vector<size_t> some_order(size_t n);
[[noreturn]] void refuse(const std::string& message);

}  // namespace mtrank::emulator
