#include "framework/core/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "framework/core/error.h"

namespace mtrank::disk {
namespace {

struct Faults {
  std::mutex mutex;
  bool active = false;
  bool stopped = false;
  int64_t fail_at = FaultScope::never;
  int error = 0;
  std::optional<uint64_t> free_space;
  std::vector<std::string> log;
};
Faults& faults() {
  static Faults instance;
  return instance;
}

/// 0, or the error that this operation must report. Called before each one.
int injected(const char* operation) {
  Faults& f = faults();
  std::lock_guard lock(f.mutex);
  if (!f.active) return 0;
  if (f.stopped) throw Stopped{};
  const bool now = static_cast<int64_t>(f.log.size()) == f.fail_at;
  f.log.emplace_back(operation);
  if (!now) return 0;
  f.stopped = f.error == FaultScope::stop;
  return f.error;
}

[[noreturn]] void fail(const char* doing, const std::string& path, int error) {
  if (error == FaultScope::stop) throw Stopped{};
  throw ResourceError(std::string("cannot ") + doing + " " + path + ": " + reason_text(error));
}

[[noreturn]] void fail_read(const std::string& path, int error) {
  throw FileError("cannot read " + path + ": " + std::generic_category().message(error));
}

/// Runs one operation that answers 0 or an errno, unless a test makes it fail first.
template <class F>
void operate(const char* doing, const std::string& path, const F& f) {
  int error = injected(doing);
  if (error == 0) error = f();
  if (error != 0) fail(doing, path, error);
}

int errno_if(bool failed) { return failed ? errno : 0; }

int retry_open(const std::string& path, int flags) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/// The standard output by one of its names, or -1. Opened as a file it would be emptied, and written from its start.
int standard_output(const std::string& path) {
  return path == "/dev/stdout" || path == "/dev/fd/1" || path == "/proc/self/fd/1" ? STDOUT_FILENO : -1;
}

int write_fully(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return 0;
}

}  // namespace

std::string reason_text(int error) {
  const std::string text = std::generic_category().message(error);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return text + ": free some space or choose another directory";
    case EROFS:
    case EACCES:
    case EPERM:
      return text + ": choose a directory that you may write to";
    case ENOENT:
      return text + ": make the directory first, or choose another";
    case ENOTDIR:
      return text + ": a part of the path is a file; choose another";
    case EEXIST:
      return text + ": it may be a link to nothing; remove it, or choose another name";
    default:
      return text;
  }
}

Output::Output(std::string path) : path_(std::move(path)) {
  operate("create", path_, [&] {
    const int standard = standard_output(path_);
    fd_ = standard >= 0 ? ::fcntl(standard, F_DUPFD_CLOEXEC, 3) : retry_open(path_, O_WRONLY | O_CREAT | O_TRUNC);
    return errno_if(fd_ < 0);
  });
}

Output::~Output() {
  if (fd_ >= 0) ::close(fd_);
}

void Output::write(const void* data, size_t size) {
  constexpr size_t piece = size_t{64} << 20;
  const char* bytes = static_cast<const char*>(data);
  for (size_t at = 0; at < size; at += piece) {
    const size_t n = std::min(piece, size - at);
    if (const int error = injected("write"); error != 0) {
      write_fully(fd_, bytes + at, n / 2);
      fail("write", path_, error);
    }
    if (const int error = write_fully(fd_, bytes + at, n); error != 0) fail("write", path_, error);
    size_ += n;
  }
}

void Output::sync() {
  operate("sync", path_, [&] {
    // A pipe or a terminal has nothing to sync.
    return ::fsync(fd_) != 0 && errno != EINVAL && errno != EROFS ? errno : 0;
  });
}

void Output::close() {
  const int fd = std::exchange(fd_, -1);
  if (fd >= 0 && ::close(fd) != 0 && errno != EINTR) fail("close", path_, errno);
}

Input::Input(std::string path) : path_(std::move(path)) {
  fd_ = retry_open(path_, O_RDONLY);
  if (fd_ < 0) fail_read(path_, errno);
  struct stat info {};
  const int error = errno_if(::fstat(fd_, &info) != 0);
  if (error == 0 && S_ISREG(info.st_mode)) {
    size_ = static_cast<uint64_t>(info.st_size);
    return;
  }
  ::close(std::exchange(fd_, -1));
  if (error != 0) fail_read(path_, error);
  throw FileError(path_ + (S_ISDIR(info.st_mode) ? " is a directory, not a file" : " is not a regular file"));
}

Input::~Input() {
  if (fd_ >= 0) ::close(fd_);
}

void Input::read(uint64_t offset, void* to, size_t size) const {
  char* out = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t n = ::pread(fd_, out, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_read(path_, errno);
    if (n == 0) throw FileError(path_ + " ends at byte " + std::to_string(offset) + ", before its contents do");
    out += n;
    offset += static_cast<uint64_t>(n);
    size -= static_cast<size_t>(n);
  }
}

std::string read_all(const std::string& path, uint64_t max_size) {
  const Input file(path);
  if (file.size() > max_size) {
    throw FileError(path + " has " + std::to_string(file.size()) + " bytes; at most " + std::to_string(max_size) +
                    " were expected");
  }
  std::string bytes(file.size(), '\0');
  file.read(0, bytes.data(), bytes.size());
  return bytes;
}

void rename(const std::string& from, const std::string& to) {
  operate("rename", to, [&] { return errno_if(::rename(from.c_str(), to.c_str()) != 0); });
}

void sync_directory(const std::string& dir) {
  operate("sync", dir, [&] {
    const int fd = retry_open(dir, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return errno;
    const int error = ::fsync(fd) != 0 && errno != EINVAL ? errno : 0;
    ::close(fd);
    return error;
  });
}

void make_directory(const std::string& dir) {
  if (is_directory(dir)) return;
  operate("create", dir, [&] {
    std::error_code error;
    std::filesystem::create_directories(dir, error);
    return error.value();
  });
}

void remove(const std::string& path) {
  operate("remove", path, [&] {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    return error.value();
  });
}

bool is_directory(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

bool is_standard_output(const std::string& path) { return standard_output(path) >= 0; }

bool is_file(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

std::vector<std::string> list(const std::string& dir) {
  DIR* handle = ::opendir(dir.c_str());
  if (handle == nullptr) fail_read(dir, errno);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(handle)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(handle);
  std::sort(names.begin(), names.end());
  return names;
}

std::string parent(const std::string& path) {
  const std::string dir = std::filesystem::path(path).parent_path().string();
  return dir.empty() ? "." : dir;
}

uint64_t free_space(const std::string& dir) {
  {
    std::lock_guard lock(faults().mutex);
    if (faults().free_space) return *faults().free_space;
  }
  struct statvfs info {};
  if (::statvfs(dir.c_str(), &info) != 0) fail_read(dir, errno);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

void require_space(const std::string& dir, uint64_t bytes, std::string_view what) {
  const uint64_t left = free_space(dir);
  if (left >= bytes) return;
  char numbers[96];
  std::snprintf(numbers, sizeof numbers, " needs %.1f MiB, but only %.1f MiB are free in ",
                static_cast<double>(bytes) / 1048576, static_cast<double>(left) / 1048576);
  throw ResourceError(std::string(what) + numbers + dir + ": free some space or choose another directory");
}

FaultScope::FaultScope(int64_t fail_at, int error) {
  Faults& f = faults();
  std::lock_guard lock(f.mutex);
  MTRANK_ASSERT(!f.active);
  f.active = true;
  f.stopped = false;
  f.fail_at = fail_at;
  f.error = error;
  f.log.clear();
}

FaultScope::~FaultScope() {
  Faults& f = faults();
  std::lock_guard lock(f.mutex);
  f.active = false;
  f.free_space.reset();
}

int64_t FaultScope::operations() const { return static_cast<int64_t>(log().size()); }
const std::vector<std::string>& FaultScope::log() const { return faults().log; }

void FaultScope::set_free_space(uint64_t bytes) {
  std::lock_guard lock(faults().mutex);
  faults().free_space = bytes;
}

}  // namespace mtrank::disk
