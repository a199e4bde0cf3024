#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>

#include "framework/cli/bench.h"
#include "framework/core/error.h"
#include "framework/data/synthetic_batches.h"
#include "framework/train/accelerated_device.h"
#include "framework/train/train_setup.h"

namespace mtrank::cli {
namespace {

constexpr int kBatches = 4, kWarmUp = 12, kSteps = 60, kProfiled = 5;

/// A job on the device, with weights drawn there: the host's pages are never written, so they take no memory.
struct Bench {
  Bench(const Config& c, const BenchOptions& options)
      : config(c),
        pool(c.train.host_threads()),
        files(open_files(c, options.rows_cap, options.data, pool.threads())),
        rows(bench_rows(c, options.rows_cap, files.get())),
        graphs(build_graphs(c, rows)),
        data(c, rows, c.train.batch_size, kBatches, options.ids, &pool),
        state(c, graphs.training),
        ids_per_row(SyntheticBatches::list_lengths(c)),
        job(accelerator_job(
            {c, graphs, data.schema(), state, pool, c.train.shards(true), ids_per_row, options.launch})),
        plan(make_plan(graphs.training, c.train.batch_size, job.dtype)),
        batches(c, plan, data.schema()),
        device(open_accelerator(job)) {
    device->initialize();
  }

  const Batch& batch(int64_t number) const { return data.batches()[static_cast<size_t>(number % kBatches)]; }

  const Config& config;
  ThreadPool pool;
  const std::unique_ptr<const Dataset> files;
  const TableRows rows;
  const Graphs graphs;
  const SyntheticBatches data;
  ModelState state;
  const std::map<std::string, double> ids_per_row;
  const AcceleratorJob job;
  const Plan plan;
  HostBatches batches;
  std::unique_ptr<Accelerator> device;
  int64_t step = 0;
};

void collect(Bench& bench) {
  if (!bench.device->collect().finite)
    throw NonFiniteError(
        "a step on synthetic batches is not finite, so what follows it would be timed without its "
        "updates. Try a smaller learning rate");
}

/// Steps one after the other, as many under way as in training; the time between the ends of two of them.
template <class Start>
BenchRate time_steps(Bench& bench, const std::string& name, int steps, const Start& start) {
  std::vector<Clock::time_point> ends;
  int under_way = 0;
  const auto end_one = [&] {
    collect(bench);
    ends.push_back(Clock::now());
    --under_way;
  };
  for (int i = 0; i < kWarmUp + steps; ++i) {
    start(++bench.step);
    if (++under_way == Accelerator::kDepth) end_one();
  }
  while (under_way) end_one();
  const auto seconds = [&](size_t from, size_t to) {
    return std::chrono::duration<double>(ends[to] - ends[from]).count();
  };
  std::vector<double> times;
  for (size_t i = kWarmUp; i < ends.size(); ++i) times.push_back(seconds(i - 1, i));
  return {name, median(times), seconds(kWarmUp - 1, ends.size() - 1) / steps, steps};
}

FileRates time_files(Bench& bench, int steps) {
  int under_way = 0;
  const FileRates rates =
      measure_files(bench.config, *bench.files, bench.pool.threads(), steps, [&](const Batch& batch) {
        bench.device->submit(bench.batches.of(batch), ++bench.step, 1);
        if (++under_way == Accelerator::kDepth) collect(bench), --under_way;
      });
  while (under_way-- > 0) collect(bench);
  return rates;
}

/// What the parts of a step that are no ops must read and write, by the name the device gives them.
using PhaseCosts = std::map<std::string, NodeCost>;

void add_dense(const Bench& bench, PhaseCosts& costs) {
  const double bytes = 4 * static_cast<double>(bench.job.model.layout->elements());
  int slots = 0;
  for (const float* slot : bench.job.model.slots) slots += slot != nullptr;
  costs["norm and finite check"].bytes = bytes;
  costs["fold gradients"].bytes = bytes * 3 * (bench.job.shards - 1);
  // Gradient, weight there and back, every slot there and back; the copy in bf16 is written, half as wide.
  costs["dense update"].bytes = bytes * (3 + 2 * slots + (bench.job.dtype == DType::bf16 ? 0.5 : 0));
}

void add_tables(const Bench& bench, PhaseCosts& costs) {
  const Graph& graph = bench.plan.graph;
  const InputSchema& schema = bench.data.schema();
  NodeCost& update = costs["table update"];
  double all_rows = 0, lookups = 0;
  for (size_t t = 0; t < bench.job.model.tables.size(); ++t) {
    const EmbeddingTable& table = *bench.job.model.tables[t];
    std::vector<bool> touched(static_cast<size_t>(table.rows()));
    for (const SparseGradient& sparse : graph.sparse_gradients) {
      if (sparse.table != graph.tables[t].value) continue;
      const std::string feature = graph.value(sparse.ids).name.substr(std::string("ids:").size());
      const auto slot = static_cast<size_t>(schema.features[static_cast<size_t>(schema.feature(feature))].slot);
      const auto& ids = bench.batch(0).ids[slot].ids;
      for (const int32_t id : ids) touched[static_cast<size_t>(id)] = true;
      lookups += static_cast<double>(ids.size());
      update.bytes += static_cast<double>(ids.size()) * static_cast<double>(table.dim()) *
                      static_cast<double>(dtype_size(bench.plan.place(sparse.gradient).dtype));
    }
    const auto distinct = static_cast<double>(std::count(touched.begin(), touched.end(), true));
    update.bytes += 2 * distinct * static_cast<double>(EmbeddingTable::bytes(1, table.dim(), table.optimizer()));
    all_rows += static_cast<double>(table.rows());
  }
  update.gathered = update.bytes;
  const double passes = std::ceil(std::log2(std::max(all_rows, 2.0)) / 8);
  costs["sort ids"].bytes = lookups * 8 * 2 * passes;  // key and value, there and back
}

/// The seconds that a device at its ceilings would need.
double limit(const NodeCost& cost, const Ceilings& ceilings, const std::string& precision, int64_t row_bytes) {
  const double gather = ceilings.gather_of(row_bytes), products = ceilings.best_product(precision);
  const double moved = (cost.bytes - cost.gathered) / ceilings.copy + (gather > 0 ? cost.gathered / gather : 0);
  return std::max(moved, products > 0 ? cost.flops / products : 0);
}

void add_profile(Bench& bench, BenchReport& report) {
  std::vector<double> nodes(bench.plan.graph.nodes.size());
  std::map<std::string, double> phases;
  SparedWork spared;
  for (int i = 0; i < kProfiled; ++i) {
    const AcceleratorProfile profile = bench.device->profile(bench.batches.of(bench.batch(i)), ++bench.step);
    for (size_t n = 0; n < nodes.size(); ++n) nodes[n] += profile.node_seconds[n] / kProfiled;
    for (const auto& [name, seconds] : profile.phases) phases[name] += seconds / kProfiled;
    spared = profile.spared;
  }
  report.ops = time_by_op(bench.plan, nodes, synthetic_ids_per_row(bench.plan.graph, bench.config),
                          bench.config.train.batch_size, 1, spared);
  PhaseCosts costs;
  add_dense(bench, costs);
  add_tables(bench, costs);
  for (const auto& [name, seconds] : phases) report.phases.push_back({name, seconds, costs[name], 0});
  int64_t row_bytes = 0;
  for (const EmbeddingTable* table : bench.job.model.tables) row_bytes = std::max(row_bytes, 4 * table->dim());
  for (std::vector<OpTime>* parts : {&report.ops, &report.phases})
    for (OpTime& part : *parts) part.limit = limit(part.cost, *report.ceilings, report.precision, row_bytes);
}

}  // namespace

BenchReport bench_accelerator(const Config& config, const BenchOptions& options) {
  BenchReport report{
      .device = "cuda", .precision = enum_name(config.train.precision), .batch = config.train.batch_size};
  if (options.profile) {  // before the job takes the memory
    const int64_t n = options.ceiling_size;
    const ProductShape square{"square", n, n, n};
    report.ceilings = measure_ceilings({&square, 1}, ceiling_sizes(n), report.precision);
  }
  Bench bench(config, options);
  const int steps = static_cast<int>(options.steps.value_or(kSteps));
  const auto from_host = [&](int64_t step) { bench.device->submit(bench.batches.of(bench.batch(step)), step, 1); };
  const BenchRate copied = time_steps(bench, "from the host's memory", steps, from_host);
  const auto resident = [&](int64_t step) { bench.device->repeat(step, 1); };
  report.rates = {time_steps(bench, "resident on the device", steps, resident), copied};
  if (bench.files) report.files = time_files(bench, steps);
  report.environment = bench.device->environment();
  report.device = nlohmann::json::parse(report.environment).at("name");
  report.memory = bench.device->memory();
  if (options.profile)
    add_profile(bench, report);
  else
    report.ops = time_by_op(bench.plan, std::vector<double>(bench.plan.graph.nodes.size()),
                            synthetic_ids_per_row(bench.plan.graph, config), config.train.batch_size);
  report.algorithms = bench.device->algorithms();
  return report;
}

}  // namespace mtrank::cli
