#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "framework/core/fs.h"
#include "framework/core/partial.h"

namespace mtrank {

/// A file that appears under its name whole, or not at all: written beside it, synced, renamed over it. A target that
/// exists and is no regular file (/dev/stdout, a pipe) is written in place. A symbolic link is followed.
/// Of two programs that write the same name the last one to commit wins. Without `commit`, nothing changes.
/// Throws ResourceError naming the path.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t size) { file_->write(data, size); }
  void write(std::string_view bytes) { file_->write(bytes); }
  /// Once. After it returns, the file and its name last.
  void commit();

 private:
  std::string path_;
  std::optional<Partial> partial_;  // where it is written, unless in place
  std::unique_ptr<disk::Output> file_;
};

void write_file_atomically(const std::string& path, std::string_view bytes);

}  // namespace mtrank
