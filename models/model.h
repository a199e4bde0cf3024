#pragma once

#include <map>
#include <string>

#include "framework/config/config.h"
#include "framework/graph/graph.h"

namespace mtrank {

/// Rows of every table, by name. Vocabularies have theirs only after the statistics pass.
using TableRows = std::map<std::string, int64_t>;

/// As far as the config knows them; vocabularies, which are learned, get `vocabulary_rows`.
TableRows table_rows(const Config& config, int64_t vocabulary_rows);

/// Prefix of the graph outputs that are the tasks' own predictions, which metrics are computed on.
inline const std::string kTaskOutput = "task:";

enum class ModelUse { training, scoring };

/// Reads the settings of every layer and tower strictly and fills their defaults in, so that the resolved config shows
/// them. Unknown layer types and every problem of the settings go to `diagnostics`.
void resolve_layers(Config& config, Diagnostics& diagnostics);

/// Resolves the layers and builds the model once, without data: every shape that does not fit goes to `diagnostics`.
void check_model(Config& config, Diagnostics& diagnostics);

/// The graph of a config whose layers are resolved. Names: tables "embedding/<table>", weights "<layer>/…" and
/// "<task>/…"; what a batch binds: "ids:<feature>", "dense:<feature>", and in training "<task>/label", "<task>/weight",
/// "<task>/correction",
/// "<task>/scale". For training it holds the losses and their gradients; for scoring the config's outputs, by name, and
/// what every task is measured on, as "task:<task>": its prediction, or the product it is `trained_as`.
/// Shapes that do not fit go to `diagnostics`, at the layer that was being built. Where `diagnostics` has errors
/// already the parts that are sound are checked all the same; the graph is whole only without errors.
Graph build_model(const Config& config, const TableRows& rows, ModelUse use, Diagnostics& diagnostics);

}  // namespace mtrank
