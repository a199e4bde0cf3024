#include <fmt/core.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <optional>

#include "framework/cli/bench_data.h"
#include "framework/cli/command.h"
#include "framework/cli/load.h"
#include "framework/core/atomic_file.h"
#include "framework/core/error.h"
#include "framework/core/host.h"
#include "framework/core/isa.h"
#include "framework/data/synthetic_batches.h"
#include "framework/graph/cost.h"
#include "framework/serving/forward.h"
#include "framework/train/memory_plan.h"
#include "framework/train/step.h"

namespace mtrank::cli {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr int kBatches = 4;

struct Options {
  std::shared_ptr<ConfigArguments> config;
  std::string device;
  std::optional<int64_t> batch, rows_cap;
  int threads = 0, steps = 9, warm_up = 4;
  std::string json, data;
};

struct OpTime {
  std::string name;
  double seconds = 0;  ///< a step and thread
  NodeCost cost;       ///< a step
};

struct Report {
  std::string device;
  int64_t batch = 0;
  int threads = 0;
  double step_seconds = 0;
  double cpu_seconds = 0;  ///< a step, of all threads
  std::vector<OpTime> ops;
  std::vector<StepProfile::Phase> phases;  ///< seconds a step
  std::optional<FileRates> files;
  double samples_per_second() const { return static_cast<double>(batch) / step_seconds; }
};

/// Of all threads of this process: unlike the clock on the wall, it does not count what other processes took.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Ids a row by value of the graph, for the costs.
std::vector<double> ids_per_row(const Graph& graph, const Config& config) {
  std::vector<double> out(graph.values.size(), 1);
  for (const auto& [feature, length] : SyntheticBatches::list_lengths(config))
    if (const ValueId id = graph.find("ids:" + feature); id != kNoValue) out[static_cast<size_t>(id)] = length;
  return out;
}

/// A node's time by the name of its op, the largest first.
std::vector<OpTime> time_by_op(const Plan& plan, const Config& config, const StepProfile& profile, int64_t batch,
                               int shards, int steps) {
  const Graph& graph = plan.graph;
  const std::vector<double> lengths = ids_per_row(graph, config);
  std::vector<OpTime> ops;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const OpNode& node = graph.nodes[n];
    auto at = std::find_if(ops.begin(), ops.end(), [&](const OpTime& op) { return op.name == node.op->name; });
    if (at == ops.end()) at = ops.insert(ops.end(), {node.op->name, 0, {}});
    for (const auto& thread : profile.node_seconds)
      at->seconds += thread[n] / steps / static_cast<double>(profile.node_seconds.size());
    NodeCost cost = node_cost(graph, node, batch / shards, lengths);
    cost.flops *= shards;
    cost.bytes *= shards;
    at->cost += cost;
  }
  std::stable_sort(ops.begin(), ops.end(), [](const OpTime& a, const OpTime& b) { return a.seconds > b.seconds; });
  return ops;
}

/// Throws ResourceError when the tables do not fit.
void require_room(const Config& config, const Graph& graph, const TableRows& rows, int threads, int shards) {
  Diagnostics diagnostics;
  const Plan training = make_plan(graph, (config.train.batch_size + shards - 1) / shards);
  const Plan scoring = make_plan(build_model(config, rows, ModelUse::scoring, diagnostics), Forward::kBlock);
  JobSize size{threads, shards, {}};
  size.data.ids_per_row = SyntheticBatches::list_lengths(config);
  require_memory(plan_memory(config, training, scoring, size), memory_budget(config));
}

Report measure(const Config& config, const Options& options) {
  const TableRows rows = capped_rows(config, options.rows_cap);
  Diagnostics diagnostics;
  Graph graph = build_model(config, rows, ModelUse::training, diagnostics);
  diagnostics.throw_if_errors();
  const int threads =
      options.threads > 0 ? options.threads : static_cast<int>(config.train.threads.value_or(host_cores()));
  const int shards = static_cast<int>(config.train.logical_shards.value_or(8));
  require_room(config, graph, rows, threads, shards);
  ThreadPool pool(threads);
  const SyntheticBatches data(config, rows, config.train.batch_size, kBatches);
  ModelState state(config, graph);
  state.initialize(pool, static_cast<uint64_t>(config.seed));
  TrainStep step(config, std::move(graph), data.schema(), state, pool, shards);

  int64_t number = 0;
  const auto run = [&] { step.run(data.batches()[static_cast<size_t>(number % kBatches)], number + 1, 1), ++number; };
  for (int i = 0; i < options.warm_up; ++i) run();
  std::vector<double> times;
  const double cpu_start = cpu_seconds();
  for (int i = 0; i < options.steps; ++i) {
    const auto start = Clock::now();
    run();
    times.push_back(seconds_since(start));
  }
  const double cpu = (cpu_seconds() - cpu_start) / options.steps;
  std::sort(times.begin(), times.end());

  StepProfile profile;
  step.set_profile(&profile);
  const int profiled = std::min(options.steps, kBatches);
  for (int i = 0; i < profiled; ++i) run();
  Report report{fmt::format("cpu x{}, {}", threads, isa_name(isa())),
                config.train.batch_size,
                threads,
                times[times.size() / 2],
                cpu,
                time_by_op(step.plan(), config, profile, config.train.batch_size, shards, profiled),
                profile.phases,
                {}};
  for (StepProfile::Phase& phase : report.phases) phase.seconds /= profiled;
  step.set_profile(nullptr);
  if (!options.data.empty())
    report.files = measure_files(config, options.data, rows, threads, options.steps,
                                 [&](const Batch& batch) { step.run(batch, ++number, 1); });
  return report;
}

void print(const Report& r) {
  fmt::print("{} | batch {} | median step {:.2f} ms ({:.2f} ms of CPU time) | {:.0f} samples/s\n", r.device, r.batch,
             r.step_seconds * 1e3, r.cpu_seconds * 1e3, r.samples_per_second());
  if (r.files)
    fmt::print("from files: {:.0f} samples/s ({:.1f}% of the time waits for data); reading alone: {:.0f} samples/s\n",
               r.files->training, 100 * r.files->waiting, r.files->reading);
  double total = 0, flops = 0;
  for (const auto& phase : r.phases) total += phase.seconds;
  for (const OpTime& op : r.ops) flops += op.cost.flops;
  fmt::print("{:.1f} MFLOP a sample, {:.1f} GFLOP/s overall\n", flops / static_cast<double>(r.batch) / 1e6,
             flops / r.step_seconds / 1e9);
  fmt::print("\n{:<26} {:>9} {:>7}\n", "phase of a step", "ms", "share");
  for (const auto& phase : r.phases)
    fmt::print("{:<26} {:>9.2f} {:>6.1f}%\n", phase.name, phase.seconds * 1e3, 100 * phase.seconds / total);
  fmt::print("\n{:<26} {:>9} {:>7} {:>9} {:>8}\n", "op", "ms", "share", "GFLOP/s", "GB/s");
  for (const OpTime& op : r.ops) {
    if (op.seconds <= 0) continue;
    fmt::print("{:<26} {:>9.2f} {:>6.1f}% {:>9.1f} {:>8.1f}\n", op.name, op.seconds * 1e3, 100 * op.seconds / total,
               op.cost.flops / op.seconds / 1e9, op.cost.bytes / op.seconds / 1e9);
  }
}

Json to_json(const Report& r, const Config& config) {
  Json out{{"config", config.name},
           {"device", r.device},
           {"batch", r.batch},
           {"threads", r.threads},
           {"step_ms", r.step_seconds * 1e3},
           {"step_cpu_ms", r.cpu_seconds * 1e3},
           {"samples_per_s", r.samples_per_second()}};
  if (r.files)
    out["files"] = Json{{"samples_per_s", r.files->training},
                        {"waiting", r.files->waiting},
                        {"reading_samples_per_s", r.files->reading}};
  for (const auto& phase : r.phases) out["phases"][phase.name] = phase.seconds * 1e3;
  for (const OpTime& op : r.ops)
    out["ops"][op.name] = Json{{"ms", op.seconds * 1e3}, {"flops", op.cost.flops}, {"bytes", op.cost.bytes}};
  return out;
}

int bench(const Options& options) {
  Config config = load_or_throw(*options.config);
  if (options.device == "cuda") throw ConfigError("--device cuda: this build has no CUDA. It benches the CPU");
  if (options.batch) config.train.batch_size = *options.batch;
  const Report report = measure(config, options);
  print(report);
  if (!options.json.empty()) write_file_atomically(options.json, to_json(report, config).dump(1) + "\n");
  return 0;
}

}  // namespace

Run bench_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  options->config = add_config_arguments(app);
  app.add_option("--device", options->device, "cpu | cuda | auto")->check(CLI::IsMember({"cpu", "cuda", "auto"}));
  app.add_option("--batch", options->batch, "samples a step, instead of train.batch_size")->check(CLI::PositiveNumber);
  app.add_option("--threads", options->threads, "instead of train.threads")->check(CLI::PositiveNumber);
  app.add_option("--rows-cap", options->rows_cap, "most rows of a table; vocabularies have this many, else 100,000")
      ->check(CLI::PositiveNumber);
  app.add_option("--steps", options->steps, "timed steps, of which the median counts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--data", options->data,
                 "also on batches from a directory of `mtrank synth --like` or `mtrank convert`")
      ->type_name("DIR");
  app.add_option("--json", options->json, "also write the numbers to this file")->type_name("FILE");
  return [options] { return bench(*options); };
}

}  // namespace mtrank::cli
