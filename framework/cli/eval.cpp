#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

#include "framework/cli/command.h"
#include "framework/cli/scoring.h"
#include "framework/config/config.h"
#include "framework/core/atomic_file.h"
#include "framework/core/error.h"
#include "framework/data/from_config.h"
#include "framework/serving/evaluator.h"
#include "framework/serving/scorer.h"
#include "framework/train/metrics_log.h"
#include "framework/train/train_setup.h"

namespace mtrank::cli {
namespace {

struct EvalOptions : ScoringOptions {
  std::string json;
};

Config config_of(const EvalOptions& options, const Bundle& bundle) {
  Diagnostics diagnostics;
  Config config = load_portable(bundle.config, options.bundle + ": config", diagnostics);
  if (!diagnostics.ok()) throw FileError(diagnostics.render());
  return config;
}

void warn(const std::string& text) { fmt::print(stderr, "warning: {}\n", text); }

/// Rows of the files with what metrics need beside the features: labels, conditions, weights, keys.
EvalRecord evaluate_files(const EvalOptions& options) {
  Scorer scorer(read_bundle(options.bundle), options.threads);
  const Config config = config_of(options, scorer.bundle());
  const auto encoder = std::make_shared<RowEncoder>(scorer.transforms(), row_spec(config), EncodeFor::scoring);
  RawSource source(options.files, read_options(scorer, options.format), encoder, raw_options(options));
  Evaluator evaluator(config, scorer.forward(), scorer.pool());
  const EvalRecord record = evaluator.run(source, "data", 0, warn);
  if (source.bad_rows() > 0) warn("left out " + std::to_string(source.bad_rows()) + " bad rows");
  return record;
}

int eval(const EvalOptions& options) {
  const EvalRecord record = evaluate_files(options);
  if (options.json.empty()) {
    fmt::print("{}{}\n", format_table(record), format_segments(record, 20));
  } else {
    write_file_atomically(options.json, format_json(record) + "\n");
  }
  return 0;
}

}  // namespace

Run eval_command(CLI::App& app) {
  auto options = std::make_shared<EvalOptions>();
  add_bundle_option(app, *options);
  app.add_option("--data", options->files, "files or patterns with labels, read as the training files were")
      ->required();
  app.add_option("--json", options->json,
                 "write the metrics to this file instead, as a line of metrics.jsonl; /dev/stdout prints it");
  add_scoring_options(app, *options, "metrics");
  return [options] {
    options->bundle = bundle_path(options->bundle);
    return eval(*options);
  };
}

}  // namespace mtrank::cli
