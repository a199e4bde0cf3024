#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/choices.h"
#include "framework/config/expression.h"
#include "framework/config/fields.h"
#include "framework/config/node.h"
#include "framework/config/values.h"

/// A whole config as plain structs, defaults filled in, names checked. Made by load_config.
namespace mtrank {

#define MTRANK_ENUM(Type, ...)                            \
  inline std::span<const char* const> enum_names(Type) {  \
    static constexpr const char* names[] = {__VA_ARGS__}; \
    return names;                                         \
  }

// ---- data ----------------------------------------------------------------------------------------------------------

enum class OnBadRow { error, skip };
MTRANK_ENUM(OnBadRow, "error", "skip")
enum class Correct { weight, logit, none };
MTRANK_ENUM(Correct, "weight", "logit", "none")

/// One set of files cut into train, valid and test by row number or by the hash of a column.
struct Split {
  Name by = "row";  ///< "row", or a column
  int64_t folds = 10;
  std::vector<int64_t> valid = {8};
  std::vector<int64_t> test = {9};
  void fields(Fields& f);
  void check(const Node& node, Diagnostics& diagnostics) const;
};

/// Names of the columns when the file does not say them: a list, or `{prefix: c, count: 42}`.
struct Columns {
  std::vector<std::string> names;  ///< empty: the header names them
  void parse_node(const Node& node, Diagnostics& diagnostics);
  Node to_node() const;
  static const char* type_name() { return "list of texts, or {prefix, count}"; }
};

/// Keeps a share of the training rows that meet a condition.
struct Sample {
  Condition when;
  double keep = 1;
  Correct correct = Correct::weight;  ///< weight: 1/keep; logit: shifted by log(keep) in training
  void fields(Fields& f);
};

struct BadRows {
  OnBadRow policy = OnBadRow::error;
  int64_t cap = 1000;  ///< more skipped rows than this stop the run
  void fields(Fields& f);
};

struct DataConfig {
  std::vector<std::string> train, valid, test;  ///< paths and globs
  std::vector<std::string> files;               ///< instead of the three: one set, cut by `split`
  std::optional<Split> split;
  std::string format = "auto";  ///< or a row of readers.def
  std::optional<bool> header;   ///< unset: there is one unless `columns` names them
  std::string delimiter;        ///< one byte; "" = by the format
  Columns columns;
  bool trim = false;
  std::vector<std::string> missing = {""};
  std::optional<Name> weight;  ///< column of row weights
  std::optional<Sample> sample;
  BadRows on_bad_row;
  std::string cache = "auto";      ///< a directory; auto: the user's cache directory; none
  std::optional<std::string> mtb;  ///< a directory of converted files, read instead of the raw ones
  void fields(Fields& f);
  void check(const Node& node, Diagnostics& diagnostics) const;

  bool has_header() const { return header.value_or(columns.names.empty()); }
  bool has_valid() const { return !valid.empty() || (split && !split->valid.empty()); }
  bool has_test() const { return !test.empty() || (split && !split->test.empty()); }
};

// ---- labels, tables, features --------------------------------------------------------------------------------------

enum class LabelType { binary, regression };
MTRANK_ENUM(LabelType, "binary", "regression")

struct Label {
  Name name;
  Name column;  ///< the name when not given
  LabelType type = LabelType::binary;
  std::optional<Positive> positive;  ///< unset: the column holds 0 and 1
  void fields(Fields& f);
};

struct SparseOptimizer {
  std::string type = "adam";  ///< a row of optimizers.def that serves tables
  double lr = 1e-3;
  double weight_decay = 0;
  ChoiceNumbers numbers;
  void fields(Fields& f);
  void check(const Node& node, Diagnostics& diagnostics) const;
};

enum class IdSpace { hash, vocab, integer };
MTRANK_ENUM(IdSpace, "hash", "vocab", "int")

struct Table {
  Name name;
  IdSpace ids = IdSpace::vocab;
  int64_t rows = 0;              ///< hash and int; for int, ids are in [0, rows)
  int64_t min_count = 1;         ///< vocab: rarer values share the row of unseen ones
  std::vector<Name> vocab_from;  ///< vocab: the features whose values fill it; all of the table's when not given
  int64_t dim = 16;
  Init init = Init::normal(0.01);
  std::optional<SparseOptimizer> optimizer;  ///< always set after loading (train.sparse_optimizer when not given)
  double l2 = 0;                             ///< on the rows a batch touched
  bool declared = false;                     ///< written under `tables`
  bool sound = true;                         ///< its keys were read without an error; so for features and layers
  void fields(Fields& f);
};

enum class FeatureType { id, ids, bucket, dense };
MTRANK_ENUM(FeatureType, "id", "ids", "bucket", "dense")
enum class Pool { sum, mean, sqrtn };
MTRANK_ENUM(Pool, "sum", "mean", "sqrtn")
enum class Keep { first, last };
MTRANK_ENUM(Keep, "first", "last")
enum class Unseen { row, drop };
MTRANK_ENUM(Unseen, "row", "drop")
enum class Transform { none, log1p };
MTRANK_ENUM(Transform, "none", "log1p")
enum class Normalize { none, zscore };
MTRANK_ENUM(Normalize, "none", "zscore")

struct TrainOnly {
  std::string serve_as;  ///< the value that stands in when scoring
  void fields(Fields& f);
};

struct Feature {
  Name name;
  FeatureType type = FeatureType::id;
  std::vector<Name> columns;  ///< one; the inputs of a dense block may be several
  Name table;                 ///< of id, ids and bucket; set after loading
  // ids
  std::string separator = "|";
  Pool pool = Pool::mean;
  std::optional<Name> weights;     ///< column with one weight for each id
  std::optional<int64_t> max_len;  ///< longer lists are cut
  Keep keep = Keep::last;
  std::optional<int64_t> length;  ///< every list has exactly this many ids
  // id, ids
  Unseen unseen = Unseen::row;  ///< ids outside a vocabulary share one row, or count for nothing
  // bucket: x < b0 is bucket 0; its table has a row for each of the boundaries.size() + 1 buckets and, last, one for
  // missing
  std::vector<double> boundaries;
  // dense
  Transform transform = Transform::none;    ///< log1p: log(1 + max(x, 0))
  std::optional<std::vector<double>> clip;  ///< [low, high], before the transform
  Normalize normalize = Normalize::none;    ///< by the training rows' mean and deviation, after the transform
  double missing = 0;                       ///< stands for an empty value, before everything else
  std::optional<TrainOnly> train_only;
  bool one_a_column = false;  ///< a group as written: `columns:` of id, ids or bucket
  bool sound = true;
  void fields(Fields& f);
  void check(const Node& node, Diagnostics& diagnostics) const;

  bool has_table() const { return type != FeatureType::dense; }
};

// ---- model, tasks --------------------------------------------------------------------------------------------------

/// One node of the model, or a task's tower. The layer's own parser (models/) reads `settings` and may store the
/// resolved form back, so that the resolved config shows every default.
struct Layer {
  Name name;
  Name type;
  std::vector<Name> from;  ///< layers above, features, feature groups, `features`; default: the layer above
  Node settings = Node::map();
  Location at;  ///< of the name
  bool sound = true;
  void parse_node(const Node& node, Diagnostics& diagnostics);
  Node to_node() const;
  static const char* type_name() { return "layer"; }
};

struct LossConfig {
  std::string type = "bce";  ///< a row of losses.def
  ChoiceNumbers numbers;
  void fields(Fields& f);
  void check(const Node& node, Diagnostics& diagnostics) const;
};

struct Task {
  Name name;
  Name label;
  double weight = 1;
  std::optional<LossConfig> loss;        ///< always set after loading: bce, or mse for a regression label
  Layer tower;                           ///< type mlp unless given; a linear unit to one logit follows it
  std::optional<Condition> only_when;    ///< over labels: rows for its loss and its metrics
  std::optional<Expression> trained_as;  ///< a product of tasks, its loss is on the product over all rows
  Location at;
  void fields(Fields& f);
};

// ---- train, eval, outputs ------------------------------------------------------------------------------------------

enum class DeviceKind { automatic, cpu, cuda };
MTRANK_ENUM(DeviceKind, "auto", "cpu", "cuda")
enum class Precision { fp32, tf32, bf16 };
MTRANK_ENUM(Precision, "fp32", "tf32", "bf16")
enum class ScheduleKind { constant, step, linear, cosine };
MTRANK_ENUM(ScheduleKind, "constant", "step", "linear", "cosine")
enum class ShuffleMode { automatic, none };
MTRANK_ENUM(ShuffleMode, "auto", "none")

struct DenseOptimizer {
  std::string type = "adam";  ///< a row of optimizers.def that serves dense weights
  double lr = 1e-3;
  double weight_decay = 0;  ///< adamw: decoupled; the others add it to the gradient
  ChoiceNumbers numbers;
  void fields(Fields& f);
  void check(const Node& node, Diagnostics& diagnostics) const;
};

/// Multiplies the learning rates of both optimizers.
struct Schedule {
  ScheduleKind type = ScheduleKind::constant;
  int64_t warmup_steps = 0;            ///< linear from 0
  std::optional<int64_t> decay_steps;  ///< linear, cosine: until when; the whole run when unset
  double floor = 0;                    ///< linear, cosine: the share that remains
  int64_t every = 10000;               ///< step: every so many steps …
  double factor = 0.1;                 ///< … times this
  void fields(Fields& f);
};

struct Shuffle {
  ShuffleMode mode = ShuffleMode::automatic;
  ByteSize memory{
      1LL << 30};  ///< encoded rows up to this size are permuted as a whole, larger sets in windows of half of it
  void fields(Fields& f);
};

struct CheckpointConfig {
  Interval every;
  int64_t keep = 2;
  void fields(Fields& f);
};

constexpr int64_t kMaxLogicalShards = 4096;

struct TrainConfig {
  DeviceKind device = DeviceKind::automatic;
  Precision precision = Precision::fp32;
  int64_t batch_size = 2048;
  int64_t epochs = 1;
  std::optional<int64_t> max_steps;
  DenseOptimizer dense_optimizer;
  SparseOptimizer sparse_optimizer;
  Schedule schedule;
  std::optional<double> clip_norm;
  Shuffle shuffle;
  CheckpointConfig checkpoint;
  std::optional<std::string> init_from;
  std::optional<int64_t> logical_shards;  ///< a power of two; unset: see shards()
  std::optional<int64_t> threads;         ///< unset: every core, see host_threads()
  std::optional<ByteSize> memory;         ///< unset: what the machine or its control group allows
  int host_threads() const;
  /// Parts of a batch that are summed in a fixed order. One process on an accelerator sums a batch as a whole.
  int shards(bool accelerated) const;
  void fields(Fields& f);
  void check(const Node& node, Diagnostics& diagnostics) const;
};

struct EvalConfig {
  StepInterval every;
  std::vector<MetricCall> metrics;  ///< default: what suits the labels
  std::vector<Name> segments;       ///< columns
  std::optional<BestCall> best;     ///< unset (`last`): the last checkpoint
  std::optional<int64_t> patience;  ///< evaluations without a better one before the run stops
  std::optional<int64_t> batch_size;
  void fields(Fields& f);
};

struct Output {
  Name name;
  Expression expr;            ///< over tasks
  std::optional<Name> label;  ///< measured on all rows against it
  void fields(Fields& f);
};

// ---- the whole -----------------------------------------------------------------------------------------------------

struct Config {
  int64_t version = 1;
  std::string name;
  int64_t seed = 1;
  DataConfig data;
  std::vector<Label> labels;
  std::vector<Table> tables;      ///< declared ones first, then those owned by a feature, each in the order written
  std::vector<Feature> features;  ///< a `columns:` group expanded into one feature a column
  std::vector<Feature> feature_groups;  ///< as written
  std::vector<Layer> layers;
  std::vector<Task> tasks;
  TrainConfig train;
  EvalConfig eval;
  std::vector<Output> outputs;
  Node tree;         ///< the merged source, for positions: `config.at("train.schedule.warmup_steps")`
  std::string path;  ///< of the file

  const Label* label(std::string_view name) const;
  const Table* table(std::string_view name) const;
  const Feature* feature(std::string_view name) const;
  const Feature* feature_group(std::string_view name) const;
  const Layer* layer(std::string_view name) const;
  const Task* task(std::string_view name) const;
  /// The features a name in `from` stands for: all of them for `features`, those of a group, one; none for a layer.
  std::vector<const Feature*> features_named(std::string_view name) const;
  /// Where the value at a dotted path was written; the top of the file when it was not.
  Location at(std::string_view path) const;
};

/// Reads, merges (`extends`), expands (`${VAR:-default}`), overrides and checks a config without opening a data file.
/// An override is `train.batch_size=8192`; `features.watched=null` removes.
/// Every problem goes to `diagnostics`; the result is only meaningful when there are no errors.
Config load_config(const std::string& path, const std::vector<std::string>& overrides, Diagnostics& diagnostics);
/// The same from text; `name` stands for the file in messages, and `extends` is relative to its folder.
Config load_config_text(const std::string& text, const std::string& name, const std::vector<std::string>& overrides,
                        Diagnostics& diagnostics);

/// A bundle's copy of its config, which names no files.
Config load_portable(const std::string& text, const std::string& name, Diagnostics& diagnostics);

/// The config with every default filled in; reads back to the same config.
Node resolved_tree(const Config& config);
std::string resolved_yaml(const Config& config);
/// The bundle's copy: no paths, split, device, threads, memory or cache.
Node portable_tree(const Config& config);
std::string portable_yaml(const Config& config);
/// The dotted path of every key whose value differs, with both values: "train.batch_size: 2048, now 4096". Keys that
/// cannot change a result (device, threads, memory, checkpoint, cache) do not count.
std::vector<std::string> differences(const Node& before, const Node& after);
/// XXH64 over what `differences` compares.
uint64_t config_hash(const Config& config);

}  // namespace mtrank
