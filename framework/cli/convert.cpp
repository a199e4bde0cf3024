#include "framework/data/convert.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "framework/cli/command.h"
#include "framework/cli/load.h"
#include "framework/core/error.h"
#include "framework/data/mtb_directory.h"

namespace mtrank::cli {
namespace {

struct Options {
  std::shared_ptr<ConfigArguments> config;
  ConvertOptions convert;
};

int convert_and_report(Options& options) {
  const Config config = load_or_throw(*options.config);
  if (config.data.mtb)
    throw ConfigError("data.mtb is " + *config.data.mtb + ": that is converted already; --set data.mtb=none");
  options.convert.threads = config.train.host_threads();
  convert(dataset_spec(config), options.convert, [](const std::string& line) { fmt::print(stderr, "{}\n", line); });
  fmt::print("{}\ntrain from it: mtrank train {} --set data.mtb={} --out RUN\n",
             describe_mtb_directory(options.convert.out), options.config->path, options.convert.out);
  return 0;
}

}  // namespace

Run convert_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  options->config = add_config_arguments(app);
  app.add_option("--out", options->convert.out, "directory to make")->required()->type_name("DIR");
  add_threads_option(app, *options->config);
  return [options] { return convert_and_report(*options); };
}

}  // namespace mtrank::cli
