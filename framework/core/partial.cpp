#include "framework/core/partial.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "framework/core/fs.h"

namespace mtrank {
namespace {

enum class Lock { taken, held_elsewhere, none };

Lock lock(int fd) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return Lock::taken;
  return errno == EWOULDBLOCK ? Lock::held_elsewhere : Lock::none;  // none: the file system has no locks
}

bool is_partial_of(const std::string& name, const std::string& file) {
  const std::string prefix = file + ".partial-";
  return name.starts_with(prefix) && name.size() > prefix.size() &&
         name.find_first_not_of("0123456789-", prefix.size()) == std::string::npos;
}

/// Whether an open file or directory still has that name: it may have been removed, or have got its own name, before
/// the lock was there.
bool is_named(int fd, const std::string& path) {
  struct stat held {
  }, named{};
  return ::fstat(fd, &held) == 0 && ::stat(path.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

/// Removes it under its lock, so that nobody begins to write it meanwhile.
void remove_unless_held(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) fd = ::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  std::error_code ignored;  // it is only in the way of the disk's space
  if (lock(fd) == Lock::taken && is_named(fd, path)) std::filesystem::remove_all(path, ignored);
  ::close(fd);
}

void remove_leftovers(const std::string& path) {
  const std::string file = std::filesystem::path(path).filename();
  std::error_code error;  // what cannot be listed stays
  const std::filesystem::directory_iterator end;
  for (std::filesystem::directory_iterator entry(disk::parent(path), error); !error && entry != end;
       entry.increment(error))
    if (is_partial_of(entry->path().filename(), file)) remove_unless_held(entry->path());
}

}  // namespace

Partial::Partial(std::string path, Kind kind) : path_(std::move(path)) {
  remove_leftovers(path_);
  const std::string first = path_ + ".partial-" + std::to_string(::getpid());
  name_ = first;
  for (int n = 1; !make(name_, kind); ++n) name_ = first + "-" + std::to_string(n);
}

/// Whether the name can be used: not where something has it, which is another process's, or cannot be removed.
bool Partial::make(const std::string& name, Kind kind) {
  int fd = -1;
  if (kind == Kind::file)
    fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  else if (::mkdir(name.c_str(), 0777) == 0)
    fd = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno != EEXIST;
  const Lock state = lock(fd);
  if (state == Lock::none || (state == Lock::taken && is_named(fd, name))) {
    lock_ = fd;
    return true;
  }
  ::close(fd);  // taken for a leftover before the lock was there
  return false;
}

Partial::~Partial() {
  if (!done_) {
    try {
      disk::remove(name_);
    } catch (...) {  // the reason why it was not committed is already on its way
    }
  }
  if (lock_ >= 0) ::close(lock_);
}

void Partial::commit() {
  disk::rename(name_, path_);
  done_ = true;
  disk::sync_directory(disk::parent(path_));
}

}  // namespace mtrank
