#include "framework/core/atomic_file.h"

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

AtomicFile::AtomicFile(const std::string& path) : path_(in_place(path) ? path : follow_links(path)) {
  if (!in_place(path_)) partial_.emplace(path_, Partial::Kind::file);
  file_ = std::make_unique<disk::Output>(partial_ ? partial_->name() : path_);
}

void AtomicFile::commit() {
  file_->sync();
  file_->close();
  if (partial_) partial_->commit();
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace mtrank
