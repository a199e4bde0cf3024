#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "framework/config/fields.h"

namespace mtrank {

/// One section of a config, or one thing that configs choose by name, for the reference docs.
struct ConfigSection {
  std::string name;   ///< "data", "features", "optimizers"
  std::string title;  ///< one line
  std::string text;   ///< markdown before the table, may be empty
  std::vector<FieldInfo> fields;
};

/// data, labels, tables, features, model, tasks, losses, train, optimizers (dense and sparse), schedules, eval,
/// outputs.
std::vector<ConfigSection> config_sections();
/// nullptr-like: an empty name when there is no such section.
ConfigSection config_section(std::string_view name);

/// "## `data` ..." with its table.
std::string section_markdown(const ConfigSection& section);
/// Every section, the values that are one text (initializers, sizes, intervals, expressions), the metrics and the
/// codes.
std::string config_reference_markdown();
/// The table of error and warning codes.
std::string codes_markdown();
/// The table of metrics.
std::string metrics_markdown();

}  // namespace mtrank
