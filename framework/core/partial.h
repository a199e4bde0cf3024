#pragma once

#include <string>

namespace mtrank {

/// What is written beside `path` until all of it is there, as "<path>.partial-<process id>". A lock that ends with the
/// process tells what is being written from what a killed process left: the constructor removes the latter, and takes
/// no name that is there already, such as that of a process of the same id in another container. Without `commit` it is
/// removed.
class Partial {
 public:
  enum class Kind { file, directory };

  /// Makes it, empty. Where that cannot be, whoever writes to `name()` says why.
  Partial(std::string path, Kind kind);
  ~Partial();
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  const std::string& name() const { return name_; }
  /// Once, after it is synced: gives it the name `path`, which lasts. Throws ResourceError.
  void commit();

 private:
  bool make(const std::string& name, Kind kind);

  const std::string path_;
  std::string name_;
  int lock_ = -1;
  bool done_ = false;
};

}  // namespace mtrank
