#pragma once

#include <string>

#include "framework/core/partial.h"

namespace mtrank {

/// A directory that appears under its name whole, or not at all: filled beside it, synced, renamed. Without `commit` it
/// is removed. Of two programs that make the same one the first to commit wins. Its files are synced by who writes
/// them. Throws ResourceError naming the path.
class AtomicDirectory {
 public:
  /// Throws ConfigError when `path` is there already, unless it is an empty directory or a link to one.
  explicit AtomicDirectory(const std::string& path);
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  /// Where the files go until then.
  const std::string& partial() const { return partial_.name(); }
  /// Once. After it returns, the directory, its files and its name last.
  void commit();

 private:
  Partial partial_;
};

}  // namespace mtrank
