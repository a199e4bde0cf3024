#pragma once

#include <optional>
#include <string>
#include <vector>

#include "framework/core/error.h"
#include "framework/embedding/accelerator.h"
#include "framework/train/progress.h"

namespace mtrank {

struct TrainOptions {
  std::string config;
  std::string out;
  bool resume = false;
  std::vector<std::string> overrides;  ///< "a.b=c"
  LogFormat log_format = LogFormat::text;
  LaunchOptions launch;  ///< on a GPU
};

/// `mtrank train`: reads the config and the data, trains, evaluates, writes the run directory. Returns ok,
/// interrupted or terminated; throws what the user, the data or the machine cause.
///
/// SIGINT and SIGTERM end the run after the step under way, with a checkpoint; a second one ends the process at once.
ExitCode train(const TrainOptions& options);

}  // namespace mtrank
