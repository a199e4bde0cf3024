#include "framework/train/run_dir.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/core/host.h"
#include "framework/core/isa.h"

namespace mtrank {
namespace {

constexpr const char* kLock = "lock";

/// First what somebody else left (no lock file is put beside it), then the lock: a running owner is reported as such.
RunLock take(const std::string& dir, bool resume) {
  if (dir.empty()) throw ConfigError("--out is empty; give a directory");
  if (disk::is_file(dir)) throw ConfigError("--out " + dir + " is a file; give a directory");
  disk::make_directory(dir);
  const auto check_empty = [&] {
    for (const std::string& name : disk::list(dir))
      if (!resume && name != kLock)
        throw ConfigError("--out " + dir + " is not empty (it holds " + name +
                          "); give --resume to continue that run, or another directory");
  };
  const std::string lock_path = dir + "/" + kLock;
  if (!disk::is_file(lock_path)) check_empty();
  RunLock lock(lock_path);
  check_empty();
  return lock;
}

}  // namespace

RunDir::RunDir(std::string dir, bool resume) : dir_(std::move(dir)), lock_(take(dir_, resume)) {}

std::string environment_json(const std::string& device, int threads, const std::string& accelerator,
                             const std::string& algorithms) {
  nlohmann::ordered_json json{
      {"mtrank", MTRANK_VERSION},   {"compiler", __VERSION__},
      {"device", device},           {"cpu", cpu_model()},
      {"kernels", isa_name(isa())}, {"cores", host_cores()},
      {"threads", threads},         {"memory_bytes", host_memory().total},
  };
  if (!accelerator.empty()) json["accelerator"] = nlohmann::ordered_json::parse(accelerator);
  if (!algorithms.empty()) json["algorithms"] = nlohmann::ordered_json::parse(algorithms);
  return json.dump(1) + "\n";
}

}  // namespace mtrank
