#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "framework/cli/command.h"
#include "framework/cli/load.h"
#include "framework/core/error.h"
#include "framework/data/dataset.h"
#include "framework/data/files.h"
#include "framework/data/synthetic_batches.h"
#include "framework/serving/forward.h"
#include "framework/train/accelerated_device.h"
#include "framework/train/memory_plan.h"
#include "framework/train/step.h"

namespace mtrank::cli {
namespace {

struct Options {
  std::shared_ptr<ConfigArguments> config;
  std::optional<int64_t> vocabulary_rows;
  std::string device;
  bool nodes = false;
};

bool learns_from_data(const Config& config) {
  return std::any_of(config.tables.begin(), config.tables.end(),
                     [](const Table& table) { return table.ids == IdSpace::vocab && table.rows == 0; });
}

bool files_exist(const DatasetSpec& spec) {
  if (!spec.mtb.empty()) return true;
  for (const auto& part : spec.parts)
    for (const std::string& pattern : part.files) {
      const bool plain = pattern.find_first_of("*?[") == std::string::npos;
      if (plain && !std::filesystem::exists(pattern)) return false;
    }
  return true;
}

/// Rows of the tables and the size of the data: from the data where it is there (the statistics are cached), else from
/// the config alone.
std::pair<TableRows, DataSize> survey(const Config& config, const Options& options, int threads) {
  const DatasetSpec spec = dataset_spec(config);
  if (options.vocabulary_rows || (!learns_from_data(config) && !files_exist(spec))) {
    fmt::print("No data was read: lists are as long as the config says, encoded rows and evaluation are left out.\n\n");
    DataSize size;
    size.ids_per_row = SyntheticBatches::list_lengths(config);
    return {table_rows(config, options.vocabulary_rows.value_or(2)), size};
  }
  const Dataset data(spec, threads, [](const std::string& line) { fmt::print(stderr, "{}\n", line); });
  TableRows rows;
  for (const TableTransform& table : data.transforms().tables) rows[table.name] = table.rows;
  return {rows, data_size(config, data)};
}

std::string count_text(double n) {
  if (n >= 1e9) return fmt::format("{:.2f} G", n / 1e9);
  if (n >= 1e6) return fmt::format("{:.2f} M", n / 1e6);
  if (n >= 1e4) return fmt::format("{:.1f} k", n / 1e3);
  return fmt::format("{:.0f}", n);
}

std::string cell(int64_t bytes) { return bytes ? bytes_text(bytes) : "-"; }

void print_sizes(const char* title, const std::vector<LayerSize>& rows) {
  LayerSize total;
  total.name = "total";
  fmt::print("{:<18} {:>10} {:>11} {:>11} {:>11} {:>11} {:>10} {:>11}\n", title, "parameters", "weights", "state",
             "gradients", "activations", "FLOP", "bytes");
  const auto print = [](const LayerSize& r) {
    fmt::print("{:<18} {:>10} {:>11} {:>11} {:>11} {:>11} {:>10} {:>11}\n", r.name,
               count_text(static_cast<double>(r.parameters)), cell(r.weights), cell(r.state), cell(r.gradients),
               cell(r.activations), count_text(r.flops), cell(static_cast<int64_t>(r.bytes)));
  };
  for (const LayerSize& r : rows) {
    print(r);
    total.parameters += r.parameters;
    total.weights += r.weights;
    total.state += r.state;
    total.gradients += r.gradients;
    total.activations += r.activations;
    total.flops += r.flops;
    total.bytes += r.bytes;
  }
  print(total);
  fmt::print("\n");
}

void print_memory(const MemoryPlan& memory, const Config& config, bool accelerated) {
  fmt::print("predicted memory{}\n", accelerated ? " of the host" : "");
  for (const MemoryPlan::Region& region : memory.regions)
    if (region.bytes > 0) fmt::print("  {:<38} {:>11}\n", region.what, bytes_text(region.bytes));
  if (memory.first_read > 0)
    fmt::print("  {:<38} {:>11}\n", "before that, first read of the data", bytes_text(memory.first_read));
  const int64_t budget = memory_budget(config);
  fmt::print("  {:<38} {:>11}\n", "peak", bytes_text(memory.total()));
  fmt::print("  {:<38} {:>11}{}\n", "free for this job", bytes_text(budget),
             memory.total() > budget ? "   NOT ENOUGH: `mtrank train` would refuse" : "");
}

/// Throws ConfigError in a build that knows no such device.
void print_device_memory(const Config& config, const TableRows& rows, const JobSize& size) {
  const Graphs graphs = build_graphs(config, rows);
  const SyntheticBatches shapes(config, rows, 1, 0);
  ModelState state(config, graphs.training);  // never written: it takes no memory
  ThreadPool pool(1);
  const auto regions = plan_accelerator(
      accelerator_job({config, graphs, shapes.schema(), state, pool, size.logical_shards, size.data.ids_per_row}));
  fmt::print("\npredicted memory of the GPU, {}\n", enum_name(config.train.precision));
  int64_t total = 0;
  for (const AcceleratorRegion& region : regions) {
    if (region.bytes > 0) fmt::print("  {:<38} {:>11}\n", region.what, bytes_text(region.bytes));
    total += region.bytes;
  }
  fmt::print("  {:<38} {:>11}\n", "peak", bytes_text(total));
}

int plan(const Options& options) {
  const Config config = load_or_throw(*options.config);
  const int threads = config.train.host_threads();
  const bool accelerated =
      options.device == "cuda" || (options.device.empty() && config.train.device == DeviceKind::cuda);
  auto [rows, data] = survey(config, options, threads);
  JobSize size{threads, config.train.shards(accelerated), std::move(data), accelerated};

  Diagnostics diagnostics;
  const Plan training =
      shard_plan(build_model(config, rows, ModelUse::training, diagnostics), config, size.logical_shards);
  const Plan scoring = make_plan(build_model(config, rows, ModelUse::scoring, diagnostics), Forward::kBlock);
  diagnostics.throw_if_errors(color_wanted());

  if (options.nodes) fmt::print("{}\n", to_text(training));
  fmt::print("{}: {} values, {} nodes ({} forward), batch {} in {} shards of {}, {} threads\n\n", config.name,
             training.graph.values.size(), training.graph.nodes.size(), training.graph.forward_nodes,
             config.train.batch_size, size.logical_shards, training.capacity, threads);
  const std::vector<LayerSize> layers = layer_sizes(config, training, size);
  print_sizes("table", table_sizes(config, training, size));
  print_sizes("layer", layers);
  fmt::print(
      "gradients: of a table's pooled embeddings, for a batch; of a layer, one copy of {}.\n"
      "activations: of one shard, before they share memory. FLOP and bytes: a sample, weights left out.\n\n",
      gradient_buffers(size.logical_shards, threads, training.single_writers).count());
  print_memory(plan_memory(config, training, scoring, size), config, accelerated);
  if (accelerated) print_device_memory(config, rows, size);
  return 0;
}

}  // namespace

Run plan_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  options->config = add_config_arguments(app);
  app.add_option("--device", options->device, "cuda: also the memory of a GPU, by region; none is needed")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  add_threads_option(app, *options->config);
  app.add_option("--vocabulary-rows", options->vocabulary_rows,
                 "suppose vocabularies of so many rows, and read no data")
      ->check(CLI::Range(1, 2147483647));
  app.add_flag("--nodes", options->nodes,
               "also every value and node of the training step, in order, and where they lie");
  return [options] { return plan(*options); };
}

}  // namespace mtrank::cli
