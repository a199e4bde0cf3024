#pragma once

#include <string>
#include <string_view>

#include "framework/graph/graph.h"

namespace mtrank {

/// A forward graph as JSON: what a bundle stores. The same graph gives the same text. How weights began is not in it.
std::string graph_to_json(const Graph& graph);

/// Reads it back and checks everything a plan relies on: numbers in range, known ops, shapes that each op agrees with,
/// inputs that are bound or written before they are read. Throws FileError naming what is wrong.
Graph graph_from_json(std::string_view text);

}  // namespace mtrank
