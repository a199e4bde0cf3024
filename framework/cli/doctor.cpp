#include <fmt/core.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

#include "framework/cli/command.h"
#include "framework/core/host.h"
#include "framework/core/isa.h"
#include "framework/embedding/accelerator.h"

namespace mtrank::cli {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

std::string gib(int64_t bytes) { return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30)); }

std::string triple(unsigned v, unsigned step) {
  return fmt::format("{}.{}.{}", v / (step * step), v / step % step, v % step);
}

#if defined(__clang__)
constexpr const char* compiler = "clang";
#else
constexpr const char* compiler = "gcc";
#endif

std::string sanitizers() {
#if defined(__SANITIZE_ADDRESS__)
  return ", address sanitizer";
#elif defined(__SANITIZE_THREAD__)
  return ", thread sanitizer";
#else
  return "";
#endif
}

Rows libraries() {
  return {{"yaml-cpp", MTRANK_YAML_CPP_VERSION},
          {"CLI11", CLI11_VERSION},
          {"fmt", triple(FMT_VERSION, 100)},
          {"nlohmann-json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                        NLOHMANN_JSON_VERSION_PATCH)},
          {"zlib", zlibVersion()},
          {"zstd", ZSTD_versionString()},
          {"xxhash", triple(XXH_VERSION_NUMBER, 100)}};
}

Rows machine() {
  const HostMemory memory = host_memory();
  Rows rows = {{"cpu", cpu_model()},
               {"kernels", fmt::format("{} (MTRANK_ISA=scalar|avx2|avx512 overrides)", isa_name(isa()))},
               {"cores", std::to_string(host_cores())},
               {"memory", fmt::format("{}, {} available", gib(memory.total), gib(memory.available))}};
  rows.emplace_back("cgroup limit", memory.cgroup_limit ? fmt::format("{}, {} used", gib(*memory.cgroup_limit),
                                                                      gib(memory.cgroup_used.value_or(0)))
                                                        : "none");
  rows.emplace_back("job budget", gib(memory.budget()));
  return rows;
}

Rows missing() {
  Rows rows = {{"mpi", "not in this build: one process a job"}};
  if (isa() == Isa::scalar)
    rows.emplace_back("vector kernels", "this CPU has neither AVX2 nor AVX-512, or MTRANK_ISA=scalar is set: slow");
  if (access("/dev/shm", W_OK) != 0 && access("/tmp", W_OK) != 0)
    rows.emplace_back("scratch space", "/tmp cannot be written; set TMPDIR");
  return rows;
}

void print(const char* title, const Rows& rows) {
  fmt::print("{}\n", title);
  for (const auto& [name, value] : rows) fmt::print("  {:<15} {}\n", name, value);
}

int doctor() {
  print("Built",
        {{"mtrank", MTRANK_VERSION}, {"compiler", fmt::format("{} {}{}", compiler, __VERSION__, sanitizers())}});
  print("Libraries", libraries());
  print("Machine", machine());
  print("GPU", accelerator_facts());
  print("Missing", missing());
  return 0;
}

}  // namespace

Run doctor_command(CLI::App&) { return doctor; }

}  // namespace mtrank::cli
