#pragma once

#include <functional>
#include <string>

#include "framework/cli/load.h"
#include "framework/data/batch.h"

namespace mtrank::cli {

/// Samples a second from the files of a directory of `mtrank convert` or `mtrank synth --like`.
struct FileRates {
  double reading = 0;   ///< nothing is done with the batches
  double training = 0;  ///< a step on every batch
  double waiting = 0;   ///< share of the training time that steps waited for data
};

/// Reads shuffled batches of `config`, first alone, then with a step on each of `steps`. `rows`: of the tables that the
/// step has; throws ConfigError when the files have others.
FileRates measure_files(const Config& config, const std::string& dir, const TableRows& rows, int threads, int steps,
                        const std::function<void(const Batch&)>& step);

}  // namespace mtrank::cli
