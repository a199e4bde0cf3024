#include "framework/cli/scoring.h"

#include <CLI/CLI.hpp>

namespace mtrank::cli {

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
