#include "framework/core/host.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

namespace mtrank {
namespace {

/// The value of `key` in a file of "key value" lines; a trailing kB multiplies. -1 when absent.
int64_t keyed_value(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name, unit;
    int64_t value = 0;
    if (words >> name >> value && name == key) return words >> unit && unit == "kB" ? value * 1024 : value;
  }
  return -1;
}

/// A file that holds one number; nothing for "max" and for v1's "no limit", which is near 2^63.
std::optional<int64_t> one_number(const std::string& path) {
  std::ifstream in(path);
  int64_t value = 0;
  if (!(in >> value) || value < 0 || value > int64_t{1} << 60) return std::nullopt;
  return value;
}

struct CgroupFiles {
  std::string mount, limit, used, cache_key;
};

/// Walks from the process's cgroup to the mount point: every level may limit.
void read_cgroup(const CgroupFiles& files, std::string path, HostMemory& memory) {
  for (;; path = path.substr(0, path.rfind('/'))) {
    const std::string dir = files.mount + path;
    if (auto limit = one_number(dir + files.limit); limit && (!memory.cgroup_limit || *limit < *memory.cgroup_limit)) {
      memory.cgroup_limit = limit;
      const int64_t used = one_number(dir + files.used).value_or(0);
      memory.cgroup_used =
          std::max<int64_t>(0, used - std::max<int64_t>(0, keyed_value(dir + "/memory.stat", files.cache_key)));
    }
    if (path.empty() || path.find('/') == std::string::npos) return;
  }
}

void read_cgroups(const std::string& root, HostMemory& memory) {
  std::ifstream in(root + "/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t path = line.find(":/");
    if (path == std::string::npos) continue;
    std::string group = line.substr(path + 1);
    if (group == "/") group.clear();
    if (line.rfind("0::", 0) == 0)
      read_cgroup({root + "/sys/fs/cgroup", "/memory.max", "/memory.current", "inactive_file"}, group, memory);
    else if (line.find(":memory:") != std::string::npos)
      read_cgroup(
          {root + "/sys/fs/cgroup/memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"},
          group, memory);
  }
}

}  // namespace

int64_t HostMemory::budget() const {
  if (!cgroup_limit) return available;
  return std::min(available, *cgroup_limit - cgroup_used.value_or(0));
}

HostMemory host_memory(const std::string& root) {
  HostMemory memory;
  memory.total = std::max<int64_t>(0, keyed_value(root + "/proc/meminfo", "MemTotal:"));
  memory.available = std::max<int64_t>(0, keyed_value(root + "/proc/meminfo", "MemAvailable:"));
  read_cgroups(root, memory);
  return memory;
}

int64_t resident_bytes() { return std::max<int64_t>(0, keyed_value("/proc/self/status", "VmRSS:")); }
int64_t peak_resident_bytes() { return std::max<int64_t>(0, keyed_value("/proc/self/status", "VmHWM:")); }

int host_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown CPU";
}

}  // namespace mtrank
