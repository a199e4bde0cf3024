#include "framework/core/atomic_file.h"

#include <unistd.h>

#include <filesystem>

namespace mtrank {
namespace {

std::string follow_links(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

bool in_place(const std::string& path) {
  if (disk::is_standard_output(path)) return true;
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  return std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
}

}  // namespace

// The process id keeps two programs that write the same name apart; the last one to commit wins.
AtomicFile::AtomicFile(const std::string& path)
    : path_(in_place(path) ? path : follow_links(path)),
      partial_(in_place(path_) ? path_ : path_ + ".partial-" + std::to_string(::getpid())),
      file_(std::make_unique<disk::Output>(partial_)) {}

AtomicFile::~AtomicFile() {
  if (!file_ || partial_ == path_) return;
  file_.reset();
  try {
    disk::remove(partial_);
  } catch (...) {  // the reason why it was not committed is already on its way
  }
}

void AtomicFile::commit() {
  file_->sync();
  file_->close();
  if (partial_ != path_) {
    disk::rename(partial_, path_);
    disk::sync_directory(disk::parent(path_));
  }
  file_.reset();
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace mtrank
