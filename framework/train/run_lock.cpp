#include "framework/train/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "framework/core/error.h"
#include "framework/core/fs.h"

namespace mtrank {
namespace {

/// The pid in a lock file, or "unknown" while its owner has not written it yet.
std::string read_pid(int fd) {
  char text[32];
  const ssize_t n = ::pread(fd, text, sizeof text, 0);
  std::string pid;
  for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; ++i) pid += text[i];
  return pid.empty() ? "unknown" : pid;
}

}  // namespace

RunLock::RunLock(const std::string& path) : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (fd_ < 0) throw ResourceError("cannot open " + path + ": " + disk::reason_text(errno));
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    const std::string pid = read_pid(fd_);
    ::close(fd_);
    if (error != EWOULDBLOCK) throw ResourceError("cannot lock " + path + ": " + disk::reason_text(error));
    throw InUseError("the run directory is in use: process " + pid + " holds " + path +
                     ". Wait for it, stop it, or choose another --out");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    const int error = errno;
    ::close(fd_);
    throw ResourceError("cannot write " + path + ": " + disk::reason_text(error));
  }
}

RunLock::~RunLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace mtrank
