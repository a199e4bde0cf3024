#pragma once

#include <string>

namespace mtrank::testing {

/// What turns one text into another, line by line: "- " a line of `before`, "+ " one of `after`, "  " the lines around
/// them. Empty where they are the same.
std::string line_diff(const std::string& before, const std::string& after, int context = 2);

}  // namespace mtrank::testing
