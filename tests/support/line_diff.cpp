#include "tests/support/line_diff.h"

#include <algorithm>
#include <sstream>
#include <vector>

namespace mtrank::testing {
namespace {

using Lines = std::vector<std::string>;

Lines lines_of(const std::string& text) {
  Lines lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// common[i][j]: length of the longest common subsequence of a[i..] and b[j..].
std::vector<std::vector<int>> common_lengths(const Lines& a, const Lines& b) {
  std::vector<std::vector<int>> common(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = a.size(); i-- > 0;)
    for (size_t j = b.size(); j-- > 0;)
      common[i][j] = a[i] == b[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
  return common;
}

/// Every line of both, marked.
Lines merged(const Lines& a, const Lines& b) {
  const auto common = common_lengths(a, b);
  Lines out;
  size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j])
      out.push_back("  " + a[i++]), ++j;
    else if (j == b.size() || (i < a.size() && common[i + 1][j] >= common[i][j + 1]))
      out.push_back("- " + a[i++]);
    else
      out.push_back("+ " + b[j++]);
  }
  return out;
}

}  // namespace

std::string line_diff(const std::string& before, const std::string& after, int context) {
  if (before == after) return "";
  const Lines all = merged(lines_of(before), lines_of(after));
  const auto changed = [](const std::string& line) { return line[0] != ' '; };
  std::string text;
  bool skipped = false;
  for (size_t i = 0; i < all.size(); ++i) {
    const size_t from = i < static_cast<size_t>(context) ? 0 : i - static_cast<size_t>(context);
    const size_t to = std::min(all.size(), i + static_cast<size_t>(context) + 1);
    const bool near = std::any_of(all.begin() + static_cast<long>(from), all.begin() + static_cast<long>(to), changed);
    if (!near && !skipped) text += "...\n";
    skipped = !near;
    if (near) text += all[i] + "\n";
  }
  return text;
}

}  // namespace mtrank::testing
