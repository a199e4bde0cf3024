#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// The one place where files that must last are written, so that a test can make any single operation fail.
/// Everything that goes wrong while writing is a ResourceError, while reading a FileError; both name the path.
namespace mtrank::disk {

/// What an errno says to whoever asked for a file to be written, with what to do about it.
std::string reason_text(int error);

/// A file being written from its beginning. What it holds is on the disk only after `sync`.
class Output {
 public:
  /// Creates `path`, or empties it. /dev/stdout is the standard output as it is: what a shell appends to stays.
  explicit Output(std::string path);
  ~Output();  ///< closes; nothing is promised about what was not synced
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(const void* data, size_t size);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  void sync();
  void close();
  uint64_t size() const { return size_; }

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

/// A regular file open for reading at any offset. Never mapped: a file that someone cuts short while it is read gives
/// an error, not a signal.
class Input {
 public:
  explicit Input(std::string path);
  ~Input();
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  /// Fills `to` with the `size` bytes from `offset` on. Throws FileError when the file ends before that.
  void read(uint64_t offset, void* to, size_t size) const;

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

/// The whole of a file of at most `max_size` bytes.
std::string read_all(const std::string& path, uint64_t max_size);

void rename(const std::string& from, const std::string& to);
/// Makes the names in a directory last: created, renamed and removed files.
void sync_directory(const std::string& dir);
/// Creates a directory and its parents; one that exists is fine.
void make_directory(const std::string& dir);
/// Removes a file, or a directory with all that is in it; one that does not exist is fine.
void remove(const std::string& path);

bool is_directory(const std::string& path);
/// Whether a path is a name of the standard output: /dev/stdout, /dev/fd/1.
bool is_standard_output(const std::string& path);
bool is_file(const std::string& path);
/// The names in a directory, sorted by their bytes.
std::vector<std::string> list(const std::string& dir);
/// "." where the path has no directory part.
std::string parent(const std::string& path);

uint64_t free_space(const std::string& dir);
/// Throws ResourceError with both numbers when `dir` has less than `bytes` left for `what`.
void require_space(const std::string& dir, uint64_t bytes, std::string_view what);

/// What the process was doing when it "died" in a test: not an Error, so nothing handles it.
struct Stopped {};

/// For tests. While one lives, operations of this layer (open for writing, write, sync, rename, make, remove) are
/// counted from 0, and number `fail_at` fails with `error` after doing half its work; with `error` = stop, it and every
/// later one throw Stopped, so that no clean-up runs either: what a killed process leaves behind.
class FaultScope {
 public:
  static constexpr int stop = -1;
  static constexpr int64_t never = -1;
  explicit FaultScope(int64_t fail_at = never, int error = 0);
  ~FaultScope();
  FaultScope(const FaultScope&) = delete;
  FaultScope& operator=(const FaultScope&) = delete;

  int64_t operations() const;
  /// One word an operation, e.g. "write", in order.
  const std::vector<std::string>& log() const;
  /// From now on every disk has this much space left.
  void set_free_space(uint64_t bytes);
};

}  // namespace mtrank::disk
