#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "framework/cli/command.h"
#include "framework/cli/load.h"
#include "framework/core/error.h"
#include "framework/data/check_data.h"

namespace mtrank::cli {
namespace {

std::string count(size_t n, const std::string& what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }

std::string summary(const Config& config) {
  return fmt::format("{}, {}, {}, {}", count(config.features.size(), "feature"), count(config.tables.size(), "table"),
                     count(config.layers.size(), "layer"), count(config.tasks.size(), "task"));
}

/// Whether converted files are whole and fit the config; throws when not.
int check_converted(const ConfigArguments& arguments, const Config& config, int threads) {
  Dataset(dataset_spec(config), threads, [](const std::string& line) {
    fmt::print(stderr, "{}\n", line);
  }).verify(threads);
  fmt::print("{}: the converted data is ok\n", arguments.path);
  return 0;
}

/// Reads the data; every problem is one line on stderr.
int check_files(const ConfigArguments& arguments, const Config& config) {
  const int threads = config.train.host_threads();
  if (config.data.mtb) return check_converted(arguments, config, threads);
  int errors = 0;
  for (const auto& problem : check_data(config, threads)) {
    fmt::print(stderr, "{}: {}\n", problem.warning ? "warning" : "error", problem.message);
    errors += !problem.warning;
  }
  if (errors > 0) {
    fmt::print(stderr, "{}: {} in the data\n", arguments.path, count(static_cast<size_t>(errors), "error"));
    return static_cast<int>(ExitCode::data);
  }
  fmt::print("{}: the data is ok\n", arguments.path);
  return 0;
}

int check(const ConfigArguments& arguments, bool data) {
  Diagnostics diagnostics;
  const Config config = load_and_check(arguments, diagnostics);
  std::fputs(diagnostics.render(color_wanted()).c_str(), stderr);
  if (!diagnostics.ok()) return static_cast<int>(ExitCode::config);
  fmt::print("{}: ok ({})\n", arguments.path, summary(config));
  return data ? check_files(arguments, config) : 0;
}

}  // namespace

Run check_command(CLI::App& app) {
  const auto arguments = add_config_arguments(app);
  const auto data = std::make_shared<bool>(false);
  app.add_flag("--data", *data, "read the data files too");
  return [arguments, data] { return check(*arguments, *data); };
}

}  // namespace mtrank::cli
