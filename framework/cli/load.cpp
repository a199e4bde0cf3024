#include "framework/cli/load.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>

#include "framework/core/host.h"

namespace mtrank::cli {

std::shared_ptr<ConfigArguments> add_config_arguments(CLI::App& app) {
  auto arguments = std::make_shared<ConfigArguments>();
  app.add_option("config", arguments->path, "the YAML file")->required()->type_name("CONFIG");
  app.add_option("--set", arguments->overrides, "override: train.batch_size=8192; features.watched=null removes")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  return arguments;
}

void add_threads_option(CLI::App& app, ConfigArguments& arguments) {
  app.add_option("--threads", arguments.threads, "instead of train.threads; changes nothing but the time")
      ->check(CLI::Range(1, kMaxThreads));
}

TableRows capped_rows(const Config& config, std::optional<int64_t> cap) {
  constexpr int64_t kVocabularyRows = 100'000;
  TableRows rows = table_rows(config, cap.value_or(kVocabularyRows));
  for (auto& [name, n] : rows) n = std::min(n, cap.value_or(n));
  return rows;
}

Config load_and_check(const ConfigArguments& arguments, Diagnostics& diagnostics) {
  std::vector<std::string> overrides = arguments.overrides;
  if (arguments.threads) overrides.push_back("train.threads=" + std::to_string(*arguments.threads));
  Config config = load_config(arguments.path, overrides, diagnostics);
  check_model(config, diagnostics);
  return config;
}

Config load_or_throw(const ConfigArguments& arguments) {
  Diagnostics diagnostics;
  Config config = load_and_check(arguments, diagnostics);
  diagnostics.throw_if_errors(color_wanted());
  std::fputs(diagnostics.render(color_wanted()).c_str(), stderr);
  return config;
}

}  // namespace mtrank::cli
