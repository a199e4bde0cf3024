#include "framework/data/from_config.h"

#include <algorithm>

#include "framework/config/config.h"
#include "framework/core/error.h"
#include "framework/data/check_data.h"
#include "framework/data/dataset.h"
#include "framework/data/files.h"

namespace mtrank {
namespace {

int label_index(const Config& config, const std::string& name) {
  for (size_t i = 0; i < config.labels.size(); ++i)
    if (config.labels[i].name == name) return static_cast<int>(i);
  throw ConfigError("'" + name + "' is not a label");
}

Comparison comparison(Compare op) { return static_cast<Comparison>(op); }
static_assert(static_cast<int>(Comparison::equal) == static_cast<int>(Compare::equal));
static_assert(static_cast<int>(Comparison::not_equal) == static_cast<int>(Compare::not_equal));
static_assert(static_cast<int>(Comparison::less) == static_cast<int>(Compare::less));
static_assert(static_cast<int>(Comparison::less_equal) == static_cast<int>(Compare::less_equal));
static_assert(static_cast<int>(Comparison::greater) == static_cast<int>(Compare::greater));
static_assert(static_cast<int>(Comparison::greater_equal) == static_cast<int>(Compare::greater_equal));

LabelCondition label_condition(const Config& config, const Condition& condition) {
  LabelCondition out;
  out.text = condition.text();
  for (const auto& clause : condition.clauses)
    out.clauses.push_back({label_index(config, clause.name), comparison(clause.op), clause.value});
  return out;
}

LabelSpec label_spec(const Label& label) {
  LabelSpec out;
  out.name = label.name;
  out.column = label.column;
  out.binary = label.type == LabelType::binary;
  if (!label.positive) return out;
  if (label.positive->op) {
    out.comparison = comparison(*label.positive->op);
    out.threshold = label.positive->value;
  } else {
    out.positive = label.positive->values;
  }
  return out;
}

void add_once(std::vector<std::string>& all, const std::string& one) {
  if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
}

TableTransform table_transform(const Table& table) {
  TableTransform out;
  out.name = table.name;
  out.ids = static_cast<IdKind>(table.ids);
  out.rows = table.rows;
  out.min_count = table.min_count;
  out.vocab_from.assign(table.vocab_from.begin(), table.vocab_from.end());
  return out;
}
static_assert(static_cast<int>(IdKind::hash) == static_cast<int>(IdSpace::hash));
static_assert(static_cast<int>(IdKind::vocab) == static_cast<int>(IdSpace::vocab));
static_assert(static_cast<int>(IdKind::integer) == static_cast<int>(IdSpace::integer));

/// The feature as written that this one comes from: itself, or one with several columns.
std::string group_of(const Config& config, const Feature& feature) {
  for (const auto& group : config.feature_groups)
    if (group.one_a_column &&
        std::find(group.columns.begin(), group.columns.end(), feature.name) != group.columns.end())
      return group.name;
  return feature.name;
}

FeatureTransform feature_transform(const Config& config, const FeatureTransforms& all, const Feature& feature) {
  FeatureTransform out;
  out.name = feature.name;
  out.group = group_of(config, feature);
  out.kind = static_cast<FeatureKind>(feature.type);
  out.columns.assign(feature.columns.begin(), feature.columns.end());
  for (size_t t = 0; t < all.tables.size() && feature.has_table(); ++t)
    if (all.tables[t].name == feature.table) out.table = static_cast<int>(t);
  out.drop_unseen = feature.unseen == Unseen::drop;
  if (!feature.separator.empty()) out.separator = feature.separator[0];
  if (feature.max_len) out.max_len = static_cast<int>(std::min<int64_t>(*feature.max_len, 1 << 20));
  out.keep_last = feature.keep == Keep::last;
  out.length = feature.length.value_or(-1);
  if (feature.length) out.max_len = static_cast<int>(std::min<int64_t>(*feature.length, out.max_len));
  if (feature.weights) out.weights_column = *feature.weights;
  out.boundaries = feature.boundaries;
  if (feature.clip) out.steps.push_back({DenseStep::Kind::clip, (*feature.clip)[0], (*feature.clip)[1]});
  if (feature.transform == Transform::log1p) out.steps.push_back({DenseStep::Kind::log1p, 0, 0});
  if (feature.normalize == Normalize::zscore) out.steps.push_back({DenseStep::Kind::zscore, 0, 0});
  out.missing = feature.missing;
  if (feature.train_only) out.serve_as = feature.train_only->serve_as;
  return out;
}
static_assert(static_cast<int>(FeatureKind::id) == static_cast<int>(FeatureType::id));
static_assert(static_cast<int>(FeatureKind::ids) == static_cast<int>(FeatureType::ids));
static_assert(static_cast<int>(FeatureKind::bucket) == static_cast<int>(FeatureType::bucket));
static_assert(static_cast<int>(FeatureKind::dense) == static_cast<int>(FeatureType::dense));

}  // namespace

ReadOptions read_options(const Config& config) {
  ReadOptions out;
  if (config.data.format != "auto") out.format = config.data.format;
  if (!config.data.delimiter.empty()) out.delimiter = config.data.delimiter[0];
  out.trim = config.data.trim;
  out.columns = config.data.columns.names;
  out.skip_header = config.data.has_header() && !out.columns.empty();
  return out;
}

FeatureTransforms feature_transforms(const Config& config) {
  FeatureTransforms out;
  out.missing = config.data.missing;
  for (const auto& table : config.tables) out.tables.push_back(table_transform(table));
  for (const auto& feature : config.features) {
    out.features.push_back(feature_transform(config, out, feature));
    const auto& f = out.features.back();
    if (f.kind == FeatureKind::bucket) out.tables[static_cast<size_t>(f.table)].ids = IdKind::bucket;
  }
  return out;
}

RowSpec row_spec(const Config& config) {
  RowSpec out;
  for (const auto& label : config.labels) out.labels.push_back(label_spec(label));
  std::vector<std::string> texts;
  for (const auto& task : config.tasks) {
    if (!task.only_when) continue;
    add_once(texts, task.only_when->text());
    if (texts.size() > out.conditions.size()) out.conditions.push_back(label_condition(config, *task.only_when));
  }
  for (const auto& metric : config.eval.metrics)
    if (const MetricRule* rule = metric_rule(metric.name); rule && rule->argument == MetricRule::Argument::column)
      add_once(out.keys, metric.args.at(0));
  for (const auto& column : config.eval.segments) add_once(out.keys, column);
  if (config.data.weight) out.weight_column = *config.data.weight;
  if (config.data.sample) {
    const Sample& sample = *config.data.sample;
    out.sample.emplace();
    out.sample->when = label_condition(config, sample.when);
    out.sample->keep = sample.keep;
    out.sample->correct = sample.correct == Correct::weight  ? SampleSpec::Correct::weight
                          : sample.correct == Correct::logit ? SampleSpec::Correct::logit
                                                             : SampleSpec::Correct::none;
  }
  out.seed = static_cast<uint64_t>(config.seed);
  return out;
}

DatasetSpec dataset_spec(const Config& config) {
  const DataConfig& data = config.data;
  DatasetSpec out;
  out.parts[0].files = data.train;
  out.parts[1].files = data.valid;
  out.parts[2].files = data.test;
  if (data.split) {
    SplitSpec split{data.split->by, static_cast<int>(data.split->folds), {}};
    split.take.assign(static_cast<size_t>(split.folds), 0);
    std::vector<uint8_t> rest(static_cast<size_t>(split.folds), 1);
    const auto part = [&](Part p, const std::vector<int64_t>& folds) {
      if (folds.empty()) return;
      auto& to = out.parts[static_cast<size_t>(p)];
      to.files = data.files;
      to.split = split;
      for (const int64_t fold : folds)
        to.split.take[static_cast<size_t>(fold)] = 1, rest[static_cast<size_t>(fold)] = 0;
    };
    part(Part::valid, data.split->valid);
    part(Part::test, data.split->test);
    out.parts[0] = {data.files, split};
    out.parts[0].split.take = rest;
  } else if (!data.files.empty()) {
    out.parts[0].files = data.files;
  }
  out.read = read_options(config);
  out.transforms = feature_transforms(config);
  out.rows = row_spec(config);
  out.skip_bad_rows = data.on_bad_row.policy == OnBadRow::skip;
  out.bad_row_cap = data.on_bad_row.cap;
  out.cache_folder = data.cache == "auto" ? default_cache_folder() : data.cache == "none" ? "" : data.cache;
  out.mtb = data.mtb.value_or("");
  return out;
}

StreamOptions stream_options(const Config& config, int threads) {
  return {.batch_size = config.train.batch_size,
          .shuffle = config.train.shuffle.mode != ShuffleMode::none,
          .seed = static_cast<uint64_t>(config.seed),
          .memory = static_cast<uint64_t>(config.train.shuffle.memory.bytes),
          .threads = threads,
          .epochs = config.train.epochs};
}

std::vector<DataProblem> check_data(const Config& config, int threads) {
  const DatasetSpec spec = dataset_spec(config);
  std::vector<CheckedTask> tasks;
  for (const auto& task : config.tasks) {
    CheckedTask checked{task.name, label_index(config, task.label), -1};
    for (size_t c = 0; c < spec.rows.conditions.size(); ++c)
      if (task.only_when && spec.rows.conditions[c].text == task.only_when->text())
        checked.condition = static_cast<int>(c);
    tasks.push_back(checked);
  }
  return check_data(spec, tasks, threads);
}

}  // namespace mtrank
