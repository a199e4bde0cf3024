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
#include "framework/core/host.h"
#include "framework/data/from_config.h"
#include "framework/data/raw_source.h"
#include "framework/serving/evaluator.h"
#include "framework/serving/scorer.h"
#include "framework/train/metrics_log.h"
#include "framework/train/train_setup.h"

namespace mtrank::cli {
namespace {

struct EvalOptions {
  std::string bundle, json;
  std::vector<std::string> files;
  int threads = host_cores();
  int64_t batch_size = 4096;
  int64_t skip_bad_rows = 0;
  std::string format;
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
  const RawOptions raw{options.batch_size, options.threads, {}, options.skip_bad_rows > 0, options.skip_bad_rows};
  RawSource source(options.files, read_options(scorer, options.format), encoder, raw);
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
  app.add_option("BUNDLE", options->bundle, kBundleHelp)->required();
  app.add_option("--data", options->files, "files or patterns with labels, read as the training files were")
      ->required();
  app.add_option("--json", options->json,
                 "write the metrics to this file instead, as a line of metrics.jsonl; /dev/stdout prints it");
  add_format_option(app, options->format);
  app.add_option("--threads", options->threads, "default: every core; the metrics do not depend on it")
      ->check(CLI::Range(1, 1024));
  app.add_option("--batch-size", options->batch_size, "rows scored at a time; the metrics do not depend on it")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  app.add_option("--skip-bad-rows", options->skip_bad_rows,
                 "leave out rows that cannot be read, up to this many, instead of stopping at the first");
  return [options] {
    options->bundle = bundle_path(options->bundle);
    return eval(*options);
  };
}

}  // namespace mtrank::cli
