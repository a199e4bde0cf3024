#include "framework/core/atomic_directory.h"

#include <unistd.h>

#include "framework/core/error.h"
#include "framework/core/fs.h"

namespace mtrank {
namespace {

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

// The process id keeps two programs that write the same name apart; the first one to commit wins.
AtomicDirectory::AtomicDirectory(const std::string& path)
    : path_(without_slash(path)), partial_(path_ + ".partial-" + std::to_string(::getpid())) {
  if (disk::is_file(path_)) throw ConfigError(path_ + " is a file; choose a directory that is not there yet");
  if (disk::is_directory(path_) && !disk::list(path_).empty())
    throw ConfigError(path_ + " is not empty; choose another directory, or remove it");
  disk::make_directory(disk::parent(path_));
  disk::remove(partial_);
  disk::make_directory(partial_);
}

AtomicDirectory::~AtomicDirectory() {
  if (done_) return;
  try {
    disk::remove(partial_);
  } catch (...) {  // the reason why it was not committed is already on its way
  }
}

void AtomicDirectory::commit() {
  disk::sync_directory(partial_);
  disk::rename(partial_, path_);
  done_ = true;
  disk::sync_directory(disk::parent(path_));
}

}  // namespace mtrank
