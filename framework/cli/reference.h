#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "framework/config/fields.h"

namespace mtrank::cli {

/// One thing that a config or a developer can name: a layer, an op, a loss, …
struct ReferenceEntry {
  std::string name;
  std::string summary;                ///< one line
  std::string text;                   ///< formula and shapes, laid out as it is; may be empty
  std::vector<std::string> examples;  ///< settings, as YAML
  std::vector<FieldInfo> fields;
};

/// A registry of the program: one page of docs/reference.
struct ReferencePage {
  std::string name;   ///< "layers": the file's name too
  std::string intro;  ///< what it is and where it is written
  std::vector<ReferenceEntry> entries;
};

/// layers, ops, losses, optimizers, metrics, features, config: made of the registries alone.
std::vector<ReferencePage> reference_pages();

std::string to_markdown(const ReferencePage& page);
/// For a terminal: the entries a line each, or one entry in full.
std::string to_list(const ReferencePage& page);
std::string to_plain(const ReferenceEntry& entry);
std::string to_markdown(const ReferenceEntry& entry);

}  // namespace mtrank::cli
