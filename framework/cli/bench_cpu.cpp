#include <fmt/core.h>

#include <algorithm>
#include <ctime>

#include "framework/cli/bench.h"
#include "framework/core/isa.h"
#include "framework/data/synthetic_batches.h"
#include "framework/serving/forward.h"
#include "framework/train/memory_plan.h"
#include "framework/train/step.h"

namespace mtrank::cli {
namespace {

constexpr int kBatches = 4, kWarmUp = 4, kSteps = 9;

/// Of all threads of this process: unlike the clock on the wall, it does not count what other processes took.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// Throws ResourceError when the tables do not fit.
void require_room(const Config& config, const Graph& graph, const TableRows& rows, int threads, int shards) {
  Diagnostics diagnostics;
  const Plan training = shard_plan(graph, config, shards);
  const Plan scoring = make_plan(build_model(config, rows, ModelUse::scoring, diagnostics), Forward::kBlock);
  JobSize size{threads, shards, {}};
  size.data.ids_per_row = SyntheticBatches::list_lengths(config);
  require_memory(plan_memory(config, training, scoring, size), memory_budget(config));
}

/// The time of a node, of one thread and step.
std::vector<double> by_node(const StepProfile& profile, int steps) {
  std::vector<double> seconds(profile.node_seconds.front().size());
  for (const auto& thread : profile.node_seconds)
    for (size_t n = 0; n < seconds.size(); ++n)
      seconds[n] += thread[n] / steps / static_cast<double>(profile.node_seconds.size());
  return seconds;
}

}  // namespace

BenchReport bench_cpu(const Config& config, const BenchOptions& options) {
  const int threads = config.train.host_threads();
  const auto files = open_files(config, options.rows_cap, options.data, threads);
  const TableRows rows = bench_rows(config, options.rows_cap, files.get());
  Diagnostics diagnostics;
  Graph graph = build_model(config, rows, ModelUse::training, diagnostics);
  diagnostics.throw_if_errors();
  const int shards = config.train.shards(false);
  const int steps = static_cast<int>(options.steps.value_or(kSteps));
  require_room(config, graph, rows, threads, shards);
  ThreadPool pool(threads);
  const SyntheticBatches data(config, rows, config.train.batch_size, kBatches, options.ids, &pool);
  ModelState state(config, graph);
  state.initialize(pool, static_cast<uint64_t>(config.seed));
  TrainStep step(config, std::move(graph), data.schema(), state, pool, shards);

  int64_t number = 0;
  const auto run = [&] { step.run(data.batches()[static_cast<size_t>(number % kBatches)], number + 1, 1), ++number; };
  for (int i = 0; i < kWarmUp; ++i) run();
  std::vector<double> times;
  const double cpu_start = cpu_seconds();
  const auto begin = Clock::now();
  for (int i = 0; i < steps; ++i) {
    const auto start = Clock::now();
    run();
    times.push_back(seconds_since(start));
  }
  const double mean = seconds_since(begin) / steps;
  BenchReport report{.device = fmt::format("cpu x{}, {}", threads, isa_name(isa())),
                     .precision = "fp32",
                     .batch = config.train.batch_size,
                     .threads = threads};
  report.cpu_seconds = (cpu_seconds() - cpu_start) / steps;
  report.rates.push_back({"in memory", median(times), mean, steps});

  StepProfile profile;
  step.set_profile(&profile);
  const int profiled = std::min(steps, kBatches);
  for (int i = 0; i < profiled; ++i) run();
  report.ops = time_by_op(step.plan(), by_node(profile, profiled), synthetic_ids_per_row(step.plan().graph, config),
                          config.train.batch_size / shards, shards);
  for (const StepProfile::Phase& phase : profile.phases)
    report.phases.push_back({phase.name, phase.seconds / profiled, {}, 0});
  step.set_profile(nullptr);
  if (files)
    report.files =
        measure_files(config, *files, threads, steps, [&](const Batch& batch) { step.run(batch, ++number, 1); });
  return report;
}

}  // namespace mtrank::cli
