#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace mtrank {

/// Lists and objects of a JSON text that stand in each other; at most, where the text is none.
inline int json_depth(std::string_view text) {
  int depth = 0, most = 0;
  bool inside = false;  // of a string
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (inside && c == '\\') ++i;
    if (c == '"') inside = !inside;
    if (inside) continue;
    if (c == '[' || c == '{') most = std::max(most, ++depth);
    if (c == ']' || c == '}') --depth;
  }
  return most;
}

/// JSON that others wrote. Discarded when the text is none, or when it is nested deeper than anything of ours: to copy
/// or to write it would take the whole stack.
template <class Json>
Json parse_json(std::string_view text) {
  constexpr int kDeepest = 100;
  if (json_depth(text) > kDeepest) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, false);
}

}  // namespace mtrank
