#pragma once

#include "framework/config/config.h"

namespace mtrank {

/// Turns the merged tree into structs and fills in the defaults that need more than one row: features from groups,
/// tables owned by features, `defaults`, labels and towers of tasks. Names are not checked yet.
Config build_config(const Node& tree, const std::string& path, Diagnostics& diagnostics);

/// Fills in what depends on several sections being sound: metrics, best, outputs, inherited optimizers.
void finish_config(Config& config);

/// Checks every name and whatever else can be known without opening a data file.
/// `before` is the config without overrides: a name that was used there is left unused by an override, which only
/// warns.
void check_config(const Config& config, const Config* before, Diagnostics& diagnostics);

/// Drops references to names that `--set features.x=null` and the like removed, with a warning each.
void drop_removed(Config& config, const std::vector<Name>& removed, Diagnostics& diagnostics);

}  // namespace mtrank
