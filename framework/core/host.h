#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace mtrank {

/// What this process may use of the machine, in bytes and cores.
struct HostMemory {
  int64_t total = 0;                    ///< of the machine
  int64_t available = 0;                ///< what the kernel thinks can be had without swapping
  std::optional<int64_t> cgroup_limit;  ///< the tightest limit of the cgroups this process is in
  std::optional<int64_t> cgroup_used;   ///< charged to that cgroup, page cache left out
  int64_t budget() const;               ///< what a job may still take: the smaller of both rooms
};

/// Reads /proc and /sys/fs/cgroup (v2, then v1) below `root`; tests pass a folder of their own.
HostMemory host_memory(const std::string& root = "");

/// Resident bytes of this process now, and the highest they ever were. 0 where /proc is missing.
int64_t resident_bytes();
int64_t peak_resident_bytes();

/// Cores this process may run on.
int host_cores();
/// Threads that a job may be given: more are a slip.
constexpr int kMaxThreads = 1024;
/// "Intel(R) Xeon(R) …", or "unknown CPU".
std::string cpu_model();

}  // namespace mtrank
