#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "framework/cli/command.h"
#include "framework/cli/load.h"
#include "framework/core/error.h"

namespace mtrank::cli {
namespace {

std::string count(size_t n, const std::string& what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }

std::string summary(const Config& config) {
  return fmt::format("{}, {}, {}, {}", count(config.features.size(), "feature"), count(config.tables.size(), "table"),
                     count(config.layers.size(), "layer"), count(config.tasks.size(), "task"));
}

int check(const ConfigArguments& arguments) {
  Diagnostics diagnostics;
  const Config config = load_and_check(arguments, diagnostics);
  std::fputs(diagnostics.render(color_wanted()).c_str(), stderr);
  if (!diagnostics.ok()) return static_cast<int>(ExitCode::config);
  fmt::print("{}: ok ({})\n", arguments.path, summary(config));
  return 0;
}

}  // namespace

Run check_command(CLI::App& app) {
  const auto arguments = add_config_arguments(app);
  return [arguments] { return check(*arguments); };
}

}  // namespace mtrank::cli
