#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "framework/config/config.h"
#include "models/model.h"

namespace CLI {
class App;
}

namespace mtrank::cli {

/// `CONFIG --set a.b=c …`, as every command that reads a config takes it.
struct ConfigArguments {
  std::string path;
  std::vector<std::string> overrides;
  std::optional<int> threads{};  ///< short for --set train.threads=N
};
std::shared_ptr<ConfigArguments> add_config_arguments(CLI::App& app);

void add_threads_option(CLI::App& app, ConfigArguments& arguments);

/// Loads a config and checks everything that can be known without opening a data file: its layers are resolved and its
/// model is built once. Every problem goes to `diagnostics`.
Config load_and_check(const ConfigArguments& arguments, Diagnostics& diagnostics);

/// The same for commands that go on: throws ConfigError with all that is wrong; warnings go to stderr.
Config load_or_throw(const ConfigArguments& arguments);

/// What benchmarks take: no table has more than `cap` rows, and a vocabulary as many, or 100,000.
TableRows capped_rows(const Config& config, std::optional<int64_t> cap);

}  // namespace mtrank::cli
