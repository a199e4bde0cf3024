#pragma once

#include <string>

namespace mtrank {

/// An exclusive lock on a run directory: `DIR/lock`, held with flock(2), which the kernel drops however the process
/// ends. The file holds the owner's pid and stays behind; only a held lock counts.
class RunLock {
 public:
  /// Throws InUseError with the owner's pid when another process holds it, ResourceError when locking is impossible.
  explicit RunLock(const std::string& path);
  ~RunLock();
  RunLock(RunLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  RunLock& operator=(RunLock&&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace mtrank
