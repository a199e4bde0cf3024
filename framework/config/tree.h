#pragma once

#include <string>
#include <vector>

#include "framework/config/diagnostics.h"
#include "framework/config/node.h"

namespace mtrank {

/// A config's tree after `extends`, `${VAR}` and overrides.
struct LoadedTree {
  Node tree;
  Node without_overrides;     ///< the same before any --set
  std::vector<Name> removed;  ///< dotted paths that `--set path=null` took out
};

/// `path` names the text in messages and anchors relative `extends`.
LoadedTree load_tree(const std::string& text, const std::string& path, const std::vector<std::string>& overrides,
                     Diagnostics& diagnostics);

/// The whole file, or nothing and an error at `from` (the place that named it).
std::optional<std::string> read_config_file(const std::string& path, const Location& from, Diagnostics& diagnostics);

/// `above` laid over `base`, map by map. A null takes a key out; a map that names another `type` replaces the whole
/// map.
Node merge_trees(Node base, const Node& above);

/// Replaces `${VAR}` and `${VAR:-default}` in every value; `$${` stands for `${`.
void expand_variables(Node& node, Diagnostics& diagnostics);

/// "c{0..3}" -> c0 c1 c2 c3; a text without braces stands for itself.
std::optional<std::string> expand_braces(const std::string& text, std::vector<std::string>& out);

}  // namespace mtrank
