#pragma once

#include <string>
#include <vector>

namespace mtrank {

/// While one lives, this thread obeys the modes of files and directories even as root: what other users meet.
class ObeyFileModes {
 public:
  ObeyFileModes();
  ~ObeyFileModes();
  ObeyFileModes(const ObeyFileModes&) = delete;
  ObeyFileModes& operator=(const ObeyFileModes&) = delete;
};

/// The same for a command: what to run in its place.
std::vector<std::string> obeying_file_modes(std::vector<std::string> argv);

}  // namespace mtrank
