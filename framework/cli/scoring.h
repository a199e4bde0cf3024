#pragma once

#include <string>
#include <vector>

#include "framework/core/host.h"
#include "framework/data/raw_source.h"
#include "framework/serving/scorer.h"

namespace CLI {
class App;
}

namespace mtrank::cli {

/// What predict and eval share.
struct ScoringOptions {
  std::string bundle;
  std::vector<std::string> files;
  std::string format;  ///< for files whose name does not tell it, such as /dev/stdin
  int threads = host_cores();
  int64_t batch_size = 4096;
  int64_t skip_bad_rows = 0;
};
/// BUNDLE.
void add_bundle_option(CLI::App& app, ScoringOptions& options);
/// --format, --threads, --batch-size and --skip-bad-rows. `what` comes out: "scores".
void add_scoring_options(CLI::App& app, ScoringOptions& options, const std::string& what);

/// A file as it is, or the bundle of a run directory. Throws FileError where that has none.
std::string bundle_path(const std::string& given);
/// As the training files were read, but for a format that was given.
ReadOptions read_options(const Scorer& scorer, const std::string& format);
/// `keep`: columns to copy.
RawOptions raw_options(const ScoringOptions& options, const std::vector<std::string>& keep = {});

}  // namespace mtrank::cli
