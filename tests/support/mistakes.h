#pragma once

#include <string>
#include <vector>

namespace mtrank::testing {

/// A config with mistakes, which says in its first lines what must be reported:
///   # expect: CODE LINE:COLUMN part of the message or the help      (--set:LINE:COLUMN for an override)
///   # set: key=value                                                (an override to load it with)
struct Mistake {
  struct Expected {
    std::string code, place, text;
  };
  std::string path;
  std::vector<Expected> expected;
  std::vector<std::string> overrides;

  /// Where `one` must be reported: "path:line:column", or "--set:line:column".
  std::string place(const Expected& one) const;
};

Mistake read_mistake(const std::string& path);
/// Names of the .yaml files of a folder below the sources, sorted, without the extension.
std::vector<std::string> mistake_names(const std::string& folder);

}  // namespace mtrank::testing
