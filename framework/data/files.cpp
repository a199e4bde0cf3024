#include "framework/data/files.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "framework/core/error.h"
#include "framework/data/mtb_directory.h"

namespace mtrank {
namespace {

std::vector<std::string> matches(const std::string& pattern) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), GLOB_NOSORT | GLOB_BRACE, nullptr, &found);
  std::vector<std::string> paths;
  if (status == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

std::vector<std::string> expand_files(const std::vector<std::string>& patterns) {
  std::vector<std::string> files;
  for (const auto& pattern : patterns) {
    struct stat info {};
    if (pattern.find_first_of("*?[{") == std::string::npos || ::stat(pattern.c_str(), &info) == 0) {
      files.push_back(pattern);
      continue;
    }
    const auto found = matches(pattern);
    if (found.empty()) throw DataError(pattern + ": no file matches this pattern");
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

FileStamp stamp_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    throw DataError(path + ": cannot be opened: " + std::strerror(errno) +
                    (errno == ENOENT ? "; a relative path starts at the working folder" : ""));
  return {std::filesystem::absolute(path).lexically_normal().string(), static_cast<int64_t>(info.st_size),
          static_cast<int64_t>(info.st_mtim.tv_sec) * 1000000000 + info.st_mtim.tv_nsec};
}

void require_regular_file(const std::string& path) {
  stamp_file(path);
  std::error_code error;
  const auto type = std::filesystem::status(path, error).type();
  if (type == std::filesystem::file_type::directory)
    throw DataError(is_mtb_directory(path)
                        ? path + ": is converted data, which is named by data.mtb; the raw files stay where they are"
                        : path + ": is a directory; name its files, or a pattern such as " + path + "/*.csv");
  if (type != std::filesystem::file_type::regular)
    throw DataError(path + ": is no regular file; training reads its files more than once, so write it to one first");
}

std::string default_cache_folder() {
  if (auto folder = environment("MTRANK_CACHE"); !folder.empty()) return folder;
  if (auto folder = environment("XDG_CACHE_HOME"); !folder.empty()) return folder + "/mtrank";
  if (auto home = environment("HOME"); !home.empty()) return home + "/.cache/mtrank";
  return std::filesystem::temp_directory_path().string() + "/mtrank-" + std::to_string(::getuid());
}

}  // namespace mtrank
