#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mtrank {

/// Paths and glob patterns, in the order given; what a pattern matches, sorted by bytes. A path that exists is taken
/// as it is, whatever characters it has. Throws DataError for a pattern that matches nothing; a plain path need not
/// exist.
std::vector<std::string> expand_files(const std::vector<std::string>& patterns);

/// What tells a changed file from the one a cache was made from.
struct FileStamp {
  std::string path;  ///< absolute
  int64_t size = 0;
  int64_t mtime_ns = 0;
};
/// Throws DataError when the file does not exist or cannot be looked at.
FileStamp stamp_file(const std::string& path);

/// Throws DataError for what can be read only once, such as a pipe, and for a directory.
void require_regular_file(const std::string& path);

/// Where caches go unless the config says otherwise: $MTRANK_CACHE, else $XDG_CACHE_HOME/mtrank, else
/// ~/.cache/mtrank, else a folder for this user in the system's temporary folder.
std::string default_cache_folder();

}  // namespace mtrank
