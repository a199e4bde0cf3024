#pragma once

#include <string>

#include "framework/train/run_lock.h"

namespace mtrank {

/// The directory of a run, locked for as long as this lives.
///
///     DIR/config.resolved.yaml  env.json  metrics.jsonl  events.out.tfevents.*  checkpoints/  model.safetensors  lock
class RunDir {
 public:
  /// Creates the directory where there is none. Throws InUseError when another process trains in it, ConfigError when
  /// it holds something and `resume` is false, ResourceError when it cannot be made or locked.
  RunDir(std::string dir, bool resume);

  const std::string& path() const { return dir_; }
  std::string config() const { return dir_ + "/config.resolved.yaml"; }
  std::string environment() const { return dir_ + "/env.json"; }
  std::string metrics() const { return dir_ + "/metrics.jsonl"; }
  std::string checkpoints() const { return dir_ + "/checkpoints"; }
  std::string bundle() const { return dir_ + "/model.safetensors"; }

 private:
  std::string dir_;
  RunLock lock_;
};

/// env.json: what the run ran on. Nothing reads it back; no result depends on it. `accelerator` and the
/// `algorithms` it chose: JSON, or empty.
std::string environment_json(const std::string& device, int threads, const std::string& accelerator,
                             const std::string& algorithms);

}  // namespace mtrank
