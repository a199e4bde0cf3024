#include "tests/support/mistakes.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace mtrank::testing {

std::string Mistake::place(const Expected& one) const {
  return one.place.starts_with("--set") ? one.place : path + ":" + one.place;
}

Mistake read_mistake(const std::string& path) {
  Mistake out{path, {}, {}};
  std::ifstream file(path);
  for (std::string line; std::getline(file, line) && line.starts_with("# ");) {
    std::istringstream words(line.substr(2));
    std::string kind;
    words >> kind;
    Mistake::Expected one;
    if (kind == "set:") {
      std::getline(words >> std::ws, one.text);
      out.overrides.push_back(one.text);
    } else if (kind == "expect:") {
      words >> one.code >> one.place;
      std::getline(words >> std::ws, one.text);
      out.expected.push_back(one);
    }
  }
  return out;
}

std::vector<std::string> mistake_names(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(MTRANK_SOURCE_DIR "/" + folder))
    if (entry.path().extension() == ".yaml") out.push_back(entry.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace mtrank::testing
