#include "framework/core/atomic_directory.h"

#include <filesystem>

#include "framework/core/error.h"
#include "framework/core/fs.h"

namespace mtrank {
namespace {

/// The directory that the path leads to, which may be made: its parent is there.
std::string free_name(std::string path) {
  if (path.empty()) throw ConfigError("the name of the directory to make is empty; give one");
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (disk::is_file(path)) throw ConfigError(path + " is a file; choose a directory that is not there yet");
  std::error_code ignored;
  if (std::filesystem::is_symlink(path, ignored)) {
    if (!disk::is_directory(path)) throw ConfigError(path + " is a link to nothing; remove it, or choose another name");
    path = std::filesystem::canonical(path);  // a directory cannot take the name of a link
  }
  if (disk::is_directory(path) && !disk::list(path).empty())
    throw ConfigError(path + " is not empty; choose another directory, or remove it");
  disk::make_directory(disk::parent(path));
  return path;
}

}  // namespace

AtomicDirectory::AtomicDirectory(const std::string& path) : partial_(free_name(path), Partial::Kind::directory) {
  disk::make_directory(partial_.name());
}

void AtomicDirectory::commit() {
  disk::sync_directory(partial_.name());
  partial_.commit();
}

}  // namespace mtrank
