#include <fmt/core.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memory>

#include "framework/cli/command.h"
#include "framework/cli/load.h"
#include "framework/core/atomic_file.h"
#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/data/mtb_directory.h"
#include "framework/data/synth_funnel.h"
#include "framework/data/synth_like.h"
#include "framework/metrics/metric.h"

namespace mtrank::cli {
namespace {

using Json = nlohmann::ordered_json;

MetricValue best_auc(const SynthFunnelSplit& split, int stage) {
  return compute_metric(parse_metric("auc"), {split.probability[stage], split.label[stage], {}, {}});
}

/// Of a stage among the rows that reached the stage before it.
MetricValue best_auc_given_previous(const SynthFunnelSplit& split, int stage) {
  std::vector<float> conditional = split.probability[stage];
  for (size_t i = 0; i < conditional.size(); ++i) conditional[i] /= split.probability[stage - 1][i];
  return compute_metric(parse_metric("auc"), {conditional, split.label[stage], split.label[stage - 1], {}});
}

Json to_json(const MetricValue& metric) { return metric.value ? Json(*metric.value) : Json(); }

/// {"rows":…,"seed":…,"splits":{"test":{"rows":…,"positives":{"click":…},"best_auc":{"click":…},
/// "best_auc_given_previous":{"cart":…}}}}
Json truth(const SynthFunnelOptions& options, const std::array<SynthFunnelSplit, 3>& splits) {
  Json out{{"rows", options.rows}, {"seed", options.seed}};
  for (const SynthFunnelSplit& split : splits) {
    Json& entry = out["splits"][split.name] = Json{{"rows", split.rows}};
    for (int stage = 0; stage < 3; ++stage) {
      entry["positives"][kFunnelStages[stage]] = split.positives[stage];
      if (split.name == "train") continue;
      entry["best_auc"][kFunnelStages[stage]] = to_json(best_auc(split, stage));
      if (stage > 0)
        entry["best_auc_given_previous"][kFunnelStages[stage]] = to_json(best_auc_given_previous(split, stage));
    }
  }
  return out;
}

void print(const Json& truth, const std::array<SynthFunnelSplit, 3>& splits) {
  for (const SynthFunnelSplit& split : splits) fmt::print("wrote {} ({} rows)\n", split.path, split.rows);
  const Json& test = truth["splits"]["test"];
  const auto number = [](const Json& auc) { return auc.is_null() ? "" : fmt::format("{:.4f}", auc.get<double>()); };
  fmt::print("\nBest reachable AUC on the test rows (the true probability as the score)\n");
  fmt::print("{:<10} {:>10} {:>10} {:>28}\n", "task", "rate", "all rows", "rows with the stage before");
  for (const char* stage : kFunnelStages) {
    const double rate = test["positives"][stage].get<double>() / std::max(1.0, test["rows"].get<double>());
    fmt::print("{:<10} {:>9.2f}% {:>10} {:>28}\n", stage, 100 * rate, number(test["best_auc"][stage]),
               number(test["best_auc_given_previous"].value(stage, Json())));
  }
}

/// Files of an earlier call are made again; others are not touched. The file that says whose they are comes first.
void claim(const SynthFunnelOptions& options) {
  const std::string mark = options.out + "/truth.json";
  if (disk::is_file(options.out)) throw ConfigError("--out " + options.out + " is a file; give a directory");
  if (disk::is_directory(options.out) && !disk::list(options.out).empty() && !disk::is_file(mark))
    throw ConfigError("--out " + options.out + " is not empty (it holds " + disk::list(options.out).front() +
                      ") and was not made by synth; give another directory");
  disk::make_directory(options.out);
  write_file_atomically(mark, Json{{"rows", options.rows}, {"seed", options.seed}}.dump(1) + "\n");
}

int synth_funnel_and_report(const SynthFunnelOptions& options) {
  check_synth_funnel(options);
  claim(options);
  const auto splits = synth_funnel(options);
  const Json json = truth(options, splits);
  write_file_atomically(options.out + "/truth.json", json.dump(1) + "\n");
  print(json, splits);
  return 0;
}

struct LikeOptions {
  ConfigArguments config;
  SynthLikeOptions like;
  std::optional<int64_t> rows_cap;
};

int synth_like_and_report(LikeOptions& options) {
  if (options.config.path.empty() || options.like.out.empty())
    throw ConfigError("give `funnel`, or --like CONFIG and --out DIR");
  const Config config = load_or_throw(options.config);
  options.like.threads = config.train.host_threads();
  synth_like(config, capped_rows(config, options.rows_cap), options.like);
  fmt::print("{}", describe_mtb_directory(options.like.out));
  return 0;
}

void add_like_options(CLI::App& app, LikeOptions& options) {
  app.add_option("--like", options.config.path, "write .mtb files of the shapes of this config, for benchmarks")
      ->type_name("CONFIG");
  app.add_option("--set", options.config.overrides, "override a key of the config")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--rows", options.like.rows, "training rows; validation and test have a tenth")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000'000}))
      ->capture_default_str();
  app.add_option("--out", options.like.out, "directory to make")->type_name("DIR");
  app.add_option("--rows-cap", options.rows_cap, "most rows of a table; vocabularies have this many, else 100,000")
      ->check(CLI::Range(1, 2147483647));
  add_threads_option(app, options.config);
}

}  // namespace

Run synth_command(CLI::App& app) {
  auto options = std::make_shared<SynthFunnelOptions>();
  auto plain = std::make_shared<bool>(false);
  auto like = std::make_shared<LikeOptions>();
  add_like_options(app, *like);
  app.require_subcommand(0, 1);
  CLI::App& funnel = *app.add_subcommand("funnel", "impression -> click -> cart -> checkout, from a planted truth");
  funnel.add_option("--rows", options->rows, "impressions in all three files")->capture_default_str();
  funnel.add_option("--seed", options->seed, "the same seed gives the same files")
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000'000'000'000'000}))
      ->capture_default_str();
  funnel.add_option("--out", options->out, "directory for train, valid and test, and truth.json")->required();
  funnel.add_flag("--plain", *plain, "write .csv files, not .csv.gz");
  return [options, plain, like, &funnel] {
    if (!funnel.parsed()) return synth_like_and_report(*like);
    options->gzip = !*plain;
    return synth_funnel_and_report(*options);
  };
}

}  // namespace mtrank::cli
