#include "framework/cli/scoring.h"

#include <CLI/CLI.hpp>

#include "framework/core/error.h"
#include "framework/core/fs.h"

namespace mtrank::cli {

std::string bundle_path(const std::string& given) {
  if (!disk::is_directory(given)) return given;
  const std::string inside = given + "/model.safetensors";
  if (disk::is_file(inside)) return inside;
  throw FileError(given + " is a directory without model.safetensors: a run writes it when it ends (train --resume)");
}

void add_format_option(CLI::App& app, std::string& format) {
  app.add_option("--format", format, "csv or tsv; default: as when training, else what the file's name ends in");
}

ReadOptions read_options(const Scorer& scorer, const std::string& format) {
  ReadOptions read = scorer.read_options();
  read.format_key = "--format";
  if (!format.empty()) read.format = format;
  return read;
}

}  // namespace mtrank::cli
