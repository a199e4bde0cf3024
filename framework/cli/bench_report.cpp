#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "framework/cli/bench.h"
#include "framework/data/synthetic_batches.h"
#include "framework/train/memory_plan.h"

namespace mtrank::cli {
namespace {

using Json = nlohmann::ordered_json;

double samples_per_second(const BenchReport& r, const BenchRate& rate) {
  return static_cast<double>(r.batch) / rate.seconds;
}

double sum(const std::vector<OpTime>& times) {
  double seconds = 0;
  for (const OpTime& time : times) seconds += time.seconds;
  return seconds;
}

double flops(const BenchReport& r) {
  double all = 0;
  for (const OpTime& op : r.ops) all += op.cost.flops;
  return all;
}

void print_cpu(const BenchReport& r) {
  const double total = sum(r.phases);
  fmt::print("\n{:<26} {:>9} {:>7}\n", "phase of a step", "ms", "share");
  for (const OpTime& phase : r.phases)
    fmt::print("{:<26} {:>9.2f} {:>6.1f}%\n", phase.name, phase.seconds * 1e3, 100 * phase.seconds / total);
  fmt::print("\n{:<26} {:>9} {:>7} {:>9} {:>8}\n", "op", "ms", "share", "GFLOP/s", "GB/s");
  for (const OpTime& op : r.ops) {
    if (op.seconds <= 0) continue;
    fmt::print("{:<26} {:>9.2f} {:>6.1f}% {:>9.1f} {:>8.1f}\n", op.name, op.seconds * 1e3, 100 * op.seconds / total,
               op.cost.flops / op.seconds / 1e9, op.cost.bytes / op.seconds / 1e9);
  }
}

/// Ops and phases of a step on an accelerator, the largest gap to the ceilings first.
std::vector<OpTime> by_gap(const BenchReport& r) {
  std::vector<OpTime> parts = r.ops;
  parts.insert(parts.end(), r.phases.begin(), r.phases.end());
  std::erase_if(parts, [](const OpTime& part) { return part.seconds <= 0; });
  std::stable_sort(parts.begin(), parts.end(),
                   [](const OpTime& a, const OpTime& b) { return a.seconds - a.limit > b.seconds - b.limit; });
  return parts;
}

void print_profile(const BenchReport& r) {
  const std::vector<OpTime> parts = by_gap(r);
  const double total = sum(parts);
  fmt::print("\nceilings of this device, measured just before: ");
  print_ceilings(*r.ceilings);
  fmt::print("\n{:<26} {:>9} {:>7} {:>9} {:>9} {:>6} {:>8} {:>11} {:>9}\n", "one after the other", "ms", "share", "MB",
             "GFLOP", "TB/s", "TFLOP/s", "of ceiling", "gap, ms");
  for (const OpTime& part : parts)
    fmt::print("{:<26} {:>9.3f} {:>6.1f}% {:>9.1f} {:>9.1f} {:>6.2f} {:>8.1f} {:>10.0f}% {:>9.3f}\n", part.name,
               part.seconds * 1e3, 100 * part.seconds / total, part.cost.bytes / 1e6, part.cost.flops / 1e9,
               part.cost.bytes / part.seconds / 1e12, part.cost.flops / part.seconds / 1e12,
               100 * part.limit / part.seconds, (part.seconds - part.limit) * 1e3);
  fmt::print("{:<26} {:>9.3f}; a step, where parts overlap, {:.3f}\n", "sum", total * 1e3,
             r.rates.front().seconds * 1e3);
}

void print_accelerator(const BenchReport& r) {
  for (const BenchRate& rate : r.rates)
    fmt::print("{:<28} median step {:.3f} ms, mean {:.3f} | {:.0f} samples/s\n", rate.name, rate.seconds * 1e3,
               rate.mean * 1e3, samples_per_second(r, rate));
  int64_t bytes = 0;
  for (const AcceleratorRegion& region : r.memory) bytes += region.bytes;
  fmt::print("memory {}\n", bytes_text(bytes));
  if (r.ceilings) print_profile(r);
}

Json json_of(const Ceilings& c) {
  Json out{{"device", Json::parse(c.environment)}, {"copy_bytes_per_s", c.copy}};
  for (const auto& [bytes, rate] : c.gather) out["gather_bytes_per_s"][std::to_string(bytes)] = rate;
  out["products"] = Json::array();
  for (const Ceilings::Product& p : c.products)
    out["products"].push_back({{"name", p.shape.name},
                               {"m", p.shape.m},
                               {"n", p.shape.n},
                               {"k", p.shape.k},
                               {"groups", p.shape.groups},
                               {"precision", p.precision},
                               {"flops_per_s", p.flops_per_second}});
  return out;
}

Json json_of(const OpTime& part) {
  Json out{{"ms", part.seconds * 1e3}, {"flops", part.cost.flops}, {"bytes", part.cost.bytes}};
  if (part.limit > 0) out["ceiling_ms"] = part.limit * 1e3;
  return out;
}

void add_accelerator(const BenchReport& r, Json& out) {
  out["environment"] = Json::parse(r.environment);
  for (const AcceleratorRegion& region : r.memory) out["memory"][region.what] = region.bytes;
  out["products"] = Json::parse(r.algorithms);
  if (r.ceilings) out["ceilings"] = json_of(*r.ceilings);
}

}  // namespace

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<double> synthetic_ids_per_row(const Graph& graph, const Config& config) {
  std::vector<double> out(graph.values.size(), 1);
  for (const auto& [feature, length] : SyntheticBatches::list_lengths(config))
    if (const ValueId id = graph.find("ids:" + feature); id != kNoValue) out[static_cast<size_t>(id)] = length;
  return out;
}

std::vector<OpTime> time_by_op(const Plan& plan, const std::vector<double>& node_seconds,
                               const std::vector<double>& ids_per_row, int64_t rows, int times,
                               const SparedWork& spared) {
  std::vector<OpTime> ops;
  for (size_t n = 0; n < plan.graph.nodes.size(); ++n) {
    const OpNode& node = plan.graph.nodes[n];
    auto at = std::find_if(ops.begin(), ops.end(), [&](const OpTime& op) { return op.name == node.op->name; });
    if (at == ops.end()) at = ops.insert(ops.end(), {node.op->name, 0, {}, 0});
    at->seconds += node_seconds[n];
    if (!spared.fused.empty() && spared.fused[n]) continue;
    const NodeCost cost = node_cost(plan, node, rows, ids_per_row, spared.in_place);
    for (int i = 0; i < times; ++i) at->cost += cost;
  }
  std::stable_sort(ops.begin(), ops.end(), [](const OpTime& a, const OpTime& b) { return a.seconds > b.seconds; });
  return ops;
}

void print_ceilings(const Ceilings& c) {
  fmt::print("copy {:.2f} TB/s", c.copy / 1e12);
  for (const auto& [bytes, rate] : c.gather) fmt::print(" | random rows of {} bytes {:.2f} TB/s", bytes, rate / 1e12);
  fmt::print("\n");
  for (const Ceilings::Product& p : c.products) {
    const std::string size = (p.shape.groups > 1 ? fmt::format("{} x ", p.shape.groups) : "") +
                             fmt::format("{} x {} x {}", p.shape.m, p.shape.k, p.shape.n);
    fmt::print("{} {:<28} {:<24} {:>7.1f} TFLOP/s\n", p.precision, p.shape.name, size, p.flops_per_second / 1e12);
  }
}

void print_report(const BenchReport& r) {
  const BenchRate& step = r.rates.front();
  fmt::print("{} | {} | batch {} | median step {:.2f} ms{} | {:.0f} samples/s\n", r.device, r.precision, r.batch,
             step.seconds * 1e3, r.threads ? fmt::format(" ({:.2f} ms of CPU time)", r.cpu_seconds * 1e3) : "",
             samples_per_second(r, step));
  if (r.files)
    fmt::print("from files: {:.0f} samples/s ({:.1f}% of the time waits for data); reading alone: {:.0f} samples/s\n",
               r.files->training, 100 * r.files->waiting, r.files->reading);
  fmt::print("{:.1f} MFLOP a sample, {:.1f} GFLOP/s overall\n", flops(r) / static_cast<double>(r.batch) / 1e6,
             flops(r) / step.seconds / 1e9);
  r.threads ? print_cpu(r) : print_accelerator(r);
}

std::string report_json(const BenchReport& r, const Config& config) {
  const BenchRate& step = r.rates.front();
  Json out{{"config", config.name},         {"device", r.device},
           {"precision", r.precision},      {"batch", r.batch},
           {"step_ms", step.seconds * 1e3}, {"samples_per_s", samples_per_second(r, step)}};
  if (r.threads) {
    out["threads"] = r.threads;
    out["step_cpu_ms"] = r.cpu_seconds * 1e3;
  }
  for (const BenchRate& rate : r.rates)
    out["rates"][rate.name] = {{"step_ms", rate.seconds * 1e3},
                               {"mean_step_ms", rate.mean * 1e3},
                               {"steps", rate.steps},
                               {"samples_per_s", samples_per_second(r, rate)}};
  if (r.files)
    out["files"] = {{"samples_per_s", r.files->training},
                    {"waiting", r.files->waiting},
                    {"reading_samples_per_s", r.files->reading}};
  for (const OpTime& phase : r.phases) out["phases"][phase.name] = json_of(phase);
  for (const OpTime& op : r.ops) out["ops"][op.name] = json_of(op);
  if (!r.threads) add_accelerator(r, out);
  return out.dump(1);
}

std::string ceilings_json(const Ceilings& ceilings) { return json_of(ceilings).dump(1); }

}  // namespace mtrank::cli
