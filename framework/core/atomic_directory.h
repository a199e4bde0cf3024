#pragma once

#include <string>

namespace mtrank {

/// A directory that appears under its name whole, or not at all: filled beside it, synced, renamed. Without `commit` it
/// is removed. Its files are synced by who writes them. Throws ResourceError naming the path.
class AtomicDirectory {
 public:
  /// Throws ConfigError when `path` is there already, unless it is an empty directory.
  explicit AtomicDirectory(const std::string& path);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  /// Where the files go until then.
  const std::string& partial() const { return partial_; }
  /// Once. After it returns, the directory, its files and its name last.
  void commit();

 private:
  std::string path_, partial_;
  bool done_ = false;
};

}  // namespace mtrank
