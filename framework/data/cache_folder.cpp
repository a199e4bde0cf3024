#include "framework/data/cache_folder.h"

#include <chrono>
#include <filesystem>

#include "framework/core/fs.h"

namespace mtrank {
namespace {

namespace fs = std::filesystem;
using Clock = fs::file_time_type::clock;

constexpr auto kHalfWritten = std::chrono::hours(24);
constexpr auto kUnused = std::chrono::hours(24 * 30);

}  // namespace

void open_cache_folder(const std::string& folder) {
  disk::make_directory(folder);
  std::error_code ignored;  // another program may be tidying up too
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("rows-") && !name.starts_with("statistics-")) continue;
    const auto modified = entry.last_write_time(ignored);
    if (ignored) continue;
    const bool half_written = name.find(".partial-") != std::string::npos;
    if (Clock::now() - modified > (half_written ? kHalfWritten : kUnused)) fs::remove(entry.path(), ignored);
  }
}

void touch_cache_file(const std::string& path) {
  std::error_code ignored;
  fs::last_write_time(path, Clock::now(), ignored);
}

}  // namespace mtrank
