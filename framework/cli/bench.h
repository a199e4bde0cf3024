#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "framework/cli/bench_data.h"
#include "framework/cli/load.h"
#include "framework/data/synthetic_batches.h"
#include "framework/embedding/accelerator.h"
#include "framework/embedding/ceilings.h"
#include "framework/graph/cost.h"
#include "framework/graph/plan.h"
#include "framework/train/profile.h"

/// The parts of `mtrank bench`.
namespace mtrank::cli {

struct BenchOptions {
  std::shared_ptr<ConfigArguments> config;
  std::string device;
  std::optional<int64_t> batch, rows_cap, steps;
  LaunchOptions launch;
  bool profile = false, ceilings = false;
  int64_t ceiling_size = 8192;
  std::string json, data;
  IdLaw ids;
};

struct OpTime {
  std::string name;
  double seconds = 0;  ///< a step; on the CPU: and thread
  NodeCost cost;       ///< a step
  double limit = 0;    ///< seconds that the device's ceilings would allow; 0: not known
};

struct BenchRate {
  std::string name;    ///< where the batches come from
  double seconds = 0;  ///< the median step
  double mean = 0;
  int steps = 0;
};

struct BenchReport {
  std::string device, precision;
  int64_t batch = 0;
  int threads = 0;
  std::vector<BenchRate> rates{};  ///< the first is the step's
  double cpu_seconds = 0;          ///< a step, of all threads
  std::vector<OpTime> ops{};
  std::vector<OpTime> phases{};  ///< what of a step is no op
  std::vector<AcceleratorRegion> memory{};
  std::string environment{}, algorithms{};  ///< JSON, as those of an Accelerator
  std::optional<Ceilings> ceilings{};
  std::optional<FileRates> files{};
};

BenchReport bench_cpu(const Config& config, const BenchOptions& options);
BenchReport bench_accelerator(const Config& config, const BenchOptions& options);
/// `--ceilings`: measures, prints, and writes the JSON file. Returns the exit code.
int bench_ceilings(const BenchOptions& options);

void print_report(const BenchReport& report);
void print_ceilings(const Ceilings& ceilings);
/// One JSON object.
std::string report_json(const BenchReport& report, const Config& config);
std::string ceilings_json(const Ceilings& ceilings);

double median(std::vector<double> values);
/// Of ceilings by one number n, about the side of a square product: a copy of n / 8 MiB, a table of n MiB.
CeilingSizes ceiling_sizes(int64_t n);
/// By value of the graph: how many ids a row of it has.
std::vector<double> synthetic_ids_per_row(const Graph& graph, const Config& config);
/// Seconds by node, summed by the name of their op, the longest first. Costs are those of `rows` rows, `times` over,
/// without what is spared.
std::vector<OpTime> time_by_op(const Plan& plan, const std::vector<double>& node_seconds,
                               const std::vector<double>& ids_per_row, int64_t rows, int times = 1,
                               const SparedWork& spared = {});

}  // namespace mtrank::cli
