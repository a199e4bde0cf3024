#pragma once

#include <string>

namespace mtrank {

/// Makes the cache folder, and removes from it what an interrupted run left half written (after a day) and what nothing
/// has used for 30 days. Touches no file that is not the cache's own. Throws ResourceError when there can be no folder.
void open_cache_folder(const std::string& folder);

/// Notes that a file of the cache was used today.
void touch_cache_file(const std::string& path);

}  // namespace mtrank
