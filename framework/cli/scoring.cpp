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

void add_bundle_option(CLI::App& app, ScoringOptions& options) {
  app.add_option("BUNDLE", options.bundle, "a model.safetensors, or the run directory that holds it")->required();
}

void add_scoring_options(CLI::App& app, ScoringOptions& options, const std::string& what) {
  app.add_option("--format", options.format,
                 "csv or tsv; default: as when training, else what the file's name ends in");
  app.add_option("--threads", options.threads, "default: every core; the " + what + " do not depend on it")
      ->check(CLI::Range(1, kMaxThreads));
  app.add_option("--batch-size", options.batch_size, "rows scored at a time; the " + what + " do not depend on it")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  app.add_option("--skip-bad-rows", options.skip_bad_rows,
                 "leave out rows that cannot be read, up to this many, instead of stopping at the first");
}

ReadOptions read_options(const Scorer& scorer, const std::string& format) {
  ReadOptions read = scorer.read_options();
  read.format_key = "--format";
  if (!format.empty()) read.format = format;
  return read;
}

RawOptions raw_options(const ScoringOptions& options, const std::vector<std::string>& keep) {
  return {options.batch_size, options.threads, keep, options.skip_bad_rows > 0, options.skip_bad_rows};
}

}  // namespace mtrank::cli
