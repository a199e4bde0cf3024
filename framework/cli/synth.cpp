#include <fmt/core.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memory>

#include "framework/cli/command.h"
#include "framework/core/atomic_file.h"
#include "framework/data/synth_funnel.h"
#include "framework/metrics/metric.h"

namespace mtrank::cli {
namespace {

using Json = nlohmann::ordered_json;

MetricValue best_auc(const SynthFunnelSplit& split, int stage) {
  return compute_metric(parse_metric("auc"), {split.probability[stage], split.label[stage], {}, {}});
}

/// {"rows":…,"seed":…,"splits":{"test":{"rows":…,"positives":{"click":…},"best_auc":{"click":…}}}}
Json truth(const SynthFunnelOptions& options, const std::array<SynthFunnelSplit, 3>& splits) {
  Json out{{"rows", options.rows}, {"seed", options.seed}};
  for (const SynthFunnelSplit& split : splits) {
    Json& entry = out["splits"][split.name] = Json{{"rows", split.rows}};
    for (int stage = 0; stage < 3; ++stage) {
      entry["positives"][kFunnelStages[stage]] = split.positives[stage];
      if (split.name == "train") continue;
      const MetricValue auc = best_auc(split, stage);
      entry["best_auc"][kFunnelStages[stage]] = auc.value ? Json(*auc.value) : Json();
    }
  }
  return out;
}

void print(const Json& truth, const std::array<SynthFunnelSplit, 3>& splits) {
  for (const SynthFunnelSplit& split : splits) fmt::print("wrote {} ({} rows)\n", split.path, split.rows);
  fmt::print("\n{:<10} {:>10} {:>22}\n", "task", "rate", "best reachable AUC");
  const Json& test = truth["splits"]["test"];
  for (const char* stage : kFunnelStages) {
    const Json& auc = test["best_auc"][stage];
    fmt::print("{:<10} {:>9.2f}% {:>22}\n", stage,
               100.0 * test["positives"][stage].get<double>() / std::max(1.0, test["rows"].get<double>()),
               auc.is_null() ? "undefined" : fmt::format("{:.4f}", auc.get<double>()));
  }
  fmt::print("(test rows, the true probability as the score)\n");
}

int synth_funnel_and_report(const SynthFunnelOptions& options) {
  const auto splits = synth_funnel(options);
  const Json json = truth(options, splits);
  write_file_atomically(options.out + "/truth.json", json.dump(1) + "\n");
  print(json, splits);
  return 0;
}

}  // namespace

Run synth_command(CLI::App& app) {
  auto options = std::make_shared<SynthFunnelOptions>();
  auto plain = std::make_shared<bool>(false);
  app.require_subcommand(1);
  CLI::App& funnel = *app.add_subcommand("funnel", "impression -> click -> cart -> checkout, from a planted truth");
  funnel.add_option("--rows", options->rows, "impressions in all three files")->capture_default_str();
  funnel.add_option("--seed", options->seed, "the same seed gives the same files")->capture_default_str();
  funnel.add_option("--out", options->out, "directory for train, valid and test, and truth.json")->required();
  funnel.add_flag("--plain", *plain, "write .csv files, not .csv.gz");
  return [options, plain] {
    options->gzip = !*plain;
    return synth_funnel_and_report(*options);
  };
}

}  // namespace mtrank::cli
