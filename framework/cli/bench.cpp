#include "framework/cli/bench.h"

#include <CLI/CLI.hpp>

#include "framework/cli/choice.h"
#include "framework/cli/command.h"
#include "framework/core/atomic_file.h"
#include "framework/core/error.h"
#include "framework/train/train_device.h"

namespace mtrank::cli {
namespace {

int bench(const BenchOptions& options) {
  if (options.ceilings) return bench_ceilings(options);
  if (options.config->path.empty()) throw ConfigError("mtrank bench needs a config, or --ceilings");
  Config config = load_or_throw(*options.config);
  if (options.batch) config.train.batch_size = *options.batch;
  if (options.device == "cpu") config.train.device = DeviceKind::cpu;
  if (options.device == "auto") config.train.device = DeviceKind::automatic;
  if (options.device == "cuda") config.train.device = DeviceKind::cuda;
  const BenchReport report =
      wants_accelerator(config) ? bench_accelerator(config, options) : bench_cpu(config, options);
  print_report(report);
  if (!options.json.empty()) write_file_atomically(options.json, report_json(report, config) + "\n");
  return 0;
}

}  // namespace

Run bench_command(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  options->config = add_config_arguments(app);
  app.get_option("config")->required(false);
  app.add_option("--device", options->device, "cpu | cuda | auto")->check(CLI::IsMember({"cpu", "cuda", "auto"}));
  app.add_option("--batch", options->batch, "samples a step, instead of train.batch_size")
      ->check(CLI::Range(1, 1 << 24));
  add_threads_option(app, *options->config);
  app.add_option("--rows-cap", options->rows_cap, "most rows of a table; vocabularies have this many, else 100,000")
      ->check(CLI::Range(1, 2147483647));
  app.add_option("--steps", options->steps, "timed steps, of which the median counts: 9 on the CPU, 60 on a GPU")
      ->check(CLI::Range(1, 1000000));
  app.add_flag("!--no-graph", options->launch.graph, "on a GPU: launch kernels one by one");
  app.add_flag("!--no-overlap", options->launch.overlap,
               "on a GPU: one kernel after the other, nothing on a stream of its own");
  add_choice<BackwardEpilogues>(
      app, "--backward-epilogues", options->launch.epilogues,
      {{"same-kernel", BackwardEpilogues::same_kernel},
       {"always", BackwardEpilogues::always},
       {"never", BackwardEpilogues::never}},
      "on a GPU: whether products of the backward pass mask by ReLUs and sum biases' gradients; same-kernel, the "
      "default: where the library does so with the kernels it would take without");
  app.add_flag("--profile", options->profile,
               "on a GPU: also the time, bytes and FLOPs of every op beside what the device's ceilings allow");
  app.add_flag("--ceilings", options->ceilings,
               "measure the GPU instead: copies, random rows, products by precision and shape; needs no config");
  app.add_option("--ceiling-size", options->ceiling_size, "N: ceilings of N x N x N products and N MiB of rows")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--zipf", options->ids.exponent, "of the ids' distribution; 0: uniform")
      ->check(CLI::Range(0.0, 4.0))
      ->capture_default_str();
  app.add_option("--hot", options->ids.hot, "share of a table's lookups that go to one row, besides")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--data", options->data,
                 "also on batches from a directory of `mtrank synth --like` or `mtrank convert`")
      ->type_name("DIR");
  app.add_option("--json", options->json, "also write the numbers to this file")->type_name("FILE");
  return [options] { return bench(*options); };
}

}  // namespace mtrank::cli
