#include "framework/train/trainer.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <optional>

#include "framework/cli/choice.h"
#include "framework/cli/command.h"

namespace mtrank::cli {
namespace {

struct Arguments {
  TrainOptions options;
  std::optional<std::string> device, seed, threads;  // as texts: what they may be is known to the config
};

/// The flags of the most used keys are short forms of --set.
TrainOptions resolve(const Arguments& arguments) {
  TrainOptions options = arguments.options;
  auto set = [&](const std::string& key, const std::optional<std::string>& value) {
    if (value) options.overrides.push_back(key + "=" + *value);
  };
  set("train.device", arguments.device);
  set("seed", arguments.seed);
  set("train.threads", arguments.threads);
  return options;
}

}  // namespace

Run train_command(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  TrainOptions& options = arguments->options;
  app.add_option("config", options.config, "the YAML file")->required();
  app.add_option("--out", options.out, "run directory: made, or empty, or continued with --resume")->required();
  app.add_flag("--resume", options.resume, "continue from the newest checkpoint in --out, if there is one");
  app.add_option("--device", arguments->device, "auto, cpu or cuda");
  app.add_flag("!--no-graph", options.launch.graph, "on a GPU: launch kernels one by one, for debugging; same bits");
  app.add_option("--seed", arguments->seed, "short for --set seed=N")->type_name("INT");
  app.add_option("--threads", arguments->threads, "how many; results do not depend on it")->type_name("INT");
  app.add_option("--set", options.overrides, "override a key: a.b=c; null removes it")
      ->take_all()
      ->allow_extra_args(false);
  add_choice<LogFormat>(app, "--log-format", options.log_format, {{"text", LogFormat::text}, {"json", LogFormat::json}},
                        "of what is printed");
  return [arguments] { return static_cast<int>(train(resolve(*arguments))); };
}

}  // namespace mtrank::cli
