#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "framework/cli/load.h"
#include "framework/data/dataset.h"

namespace mtrank::cli {

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Samples a second from the files of a directory of `mtrank convert` or `mtrank synth --like`.
struct FileRates {
  double reading = 0;   ///< nothing is done with the batches
  double training = 0;  ///< a step on every batch
  double waiting = 0;   ///< share of the training time that steps waited for data
};

/// The files of a directory for steps of `config`, or none without a directory. Throws DataError when they are of
/// another config, FileError when they are damaged.
std::unique_ptr<const Dataset> open_files(const Config& config, std::optional<int64_t> rows_cap, const std::string& dir,
                                          int threads);

/// Rows of the tables of a step: those that the files have, or capped ones.
TableRows bench_rows(const Config& config, std::optional<int64_t> rows_cap, const Dataset* files);

/// Reads shuffled batches of `files`, first alone, then with a step on each of `steps`.
FileRates measure_files(const Config& config, const Dataset& files, int threads, int steps,
                        const std::function<void(const Batch&)>& step);

}  // namespace mtrank::cli
