#pragma once

#include <string>

#include "framework/serving/scorer.h"

namespace CLI {
class App;
}

namespace mtrank::cli {

/// `BUNDLE` of predict and eval: a file, or the bundle of a run directory. Throws FileError where that has none.
std::string bundle_path(const std::string& given);
constexpr const char* kBundleHelp = "a model.safetensors, or the run directory that holds it";

/// `--format`, which predict and eval share: for files whose name does not tell it, such as /dev/stdin.
void add_format_option(CLI::App& app, std::string& format);
/// As the training files were read, but for a format that was given.
ReadOptions read_options(const Scorer& scorer, const std::string& format);

}  // namespace mtrank::cli
