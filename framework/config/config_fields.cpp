// The rows of every section: the one place where a key has its name, default, bounds and help.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "framework/config/config.h"
#include "framework/core/host.h"

namespace mtrank {

// ---- data

void Split::fields(Fields& f) {
  f("by", by, "row: the number of the data row modulo `folds` (row 0 is the first); a column: the hash of its value");
  f("folds", folds, "number of folds").min(2).max(1000000);
  f("valid", valid, "folds held out to pick the best checkpoint").min(0);
  f("test", test, "folds held out for the last evaluation").min(0);
}

void Split::check(const Node& node, Diagnostics& d) const {
  const auto report = [&](const char* key, size_t i, const std::string& message) {
    const Node* list = node.find(key);
    const Location at = !list ? node.at : list->is_list() && i < list->items.size() ? list->items[i].at : list->at;
    d.error(Code::impossible_split, at, message, "folds count from 0; those not held out are trained on");
  };
  const std::string there_are = ", there are " + std::to_string(folds);
  for (const auto& [key, folds_of, last] :
       {std::tuple{"valid", &valid, folds - 2}, std::tuple{"test", &test, folds - 1}})
    for (size_t i = 0; i < folds_of->size(); ++i) {
      const std::string fold = std::to_string((*folds_of)[i]);
      if ((*folds_of)[i] < folds) continue;
      if (node.find(key))
        report(key, i, "fold " + fold + " does not exist" + there_are);
      else
        d.error(Code::impossible_split, node.find("folds") ? node.find("folds")->at : node.at,
                std::string("`") + key + "` is fold " + fold + " when it is not given" + there_are,
                std::string("write ") + key + ": [" + std::to_string(last) + "]");
    }
  for (size_t i = 0; i < test.size(); ++i)
    if (std::find(valid.begin(), valid.end(), test[i]) != valid.end())
      report("test", i, "fold " + std::to_string(test[i]) + " is in `valid` and in `test`");
  int64_t left = 0;
  for (int64_t fold = 0; fold < folds && left == 0; ++fold)
    left += std::find(valid.begin(), valid.end(), fold) == valid.end() &&
            std::find(test.begin(), test.end(), fold) == test.end();
  if (left == 0) report("folds", 0, "no fold is left to train on");
}

void Columns::parse_node(const Node& node, Diagnostics& d) {
  struct Numbered {
    std::string prefix = "c";
    int64_t count = 0;
    void fields(Fields& f) {
      f("prefix", prefix, "text before the number");
      f("count", count, "number of columns").min(1).max(100000).required();
    }
  };
  names.clear();
  if (node.is_map()) {
    Numbered numbered;
    parse_fields(node, numbered, d);
    for (int64_t i = 0; i < std::min<int64_t>(numbered.count, 100000); ++i)
      names.push_back(numbered.prefix + std::to_string(i));
    return;
  }
  if (!node.is_list())
    return d.error(Code::wrong_type, node.at,
                   "`columns` takes a list of names or {prefix, count}, found " + node.spoken());
  for (const Node& item : node.items) {
    if (!item.is_scalar())
      d.error(Code::wrong_type, item.at, "`columns` takes names, found " + item.spoken());
    else if (std::find(names.begin(), names.end(), item.text) != names.end())
      d.error(Code::duplicate_name, item.at, "column `" + item.text + "` is named twice");
    names.push_back(item.text);
  }
}

Node Columns::to_node() const {
  Node out = Node::list();
  for (const std::string& name : names) out.items.push_back(Node::scalar(name, true));
  return out;
}

void Sample::fields(Fields& f) {
  f("when", when, "training rows this holds for are sampled").required();
  f("keep", keep, "share of them that is kept").above(0).max(1).required();
  f("correct", correct,
    "how the model is corrected: kept rows weigh 1/keep, the logit is shifted by log(keep), which needs a "
    "`when` of one condition, or not at all");
}

void BadRows::fields(Fields& f) {
  f("policy", policy, "stop at a row that cannot be read, or count and skip it").selects();
  f("cap", cap, "more skipped rows than this stop the run").min(0).only_if(policy == OnBadRow::skip);
}

void DataConfig::fields(Fields& f) {
  f("train", train, "training files: a path, a list or a glob");
  f("valid", valid, "files that pick the best checkpoint");
  f("test", test, "files evaluated once, last");
  f("files", files, "one set instead of the three, cut by `split`");
  f("split", split, "how `files` is cut; what is not held out is trained on");
  std::vector<std::string> formats = file_formats();
  formats.insert(formats.begin(), "auto");
  f("format", format, "auto goes by the extension; .gz and .zst are read as they are").one_of(formats);
  f("header", header, "whether the first line names the columns").unset("auto");
  f("delimiter", delimiter, "one character; by the format when empty");
  f("columns", columns,
    "names of the columns where the file does not say: a list, or {prefix: c, count: 42} for c0 ... c41");
  f("trim", trim, "strip spaces on both sides of each field");
  f("missing", missing, "texts that mean an empty field; an id that is one of them is the empty id");
  f("weight", weight, "column of row weights");
  f("sample", sample, "keeps a share of some training rows");
  f("on_bad_row", on_bad_row, "what to do with a row that cannot be read");
  f("cache", cache,
    "where encoded rows and statistics are kept: auto (the user's cache directory), none, or a directory");
  f("mtb", mtb,
    "a directory that `mtrank convert` made of this config: its files are read instead of the raw ones, whose keys "
    "stay as they are")
      .unset("none");
}

void DataConfig::check(const Node& node, Diagnostics& d) const {
  for (const auto& [key, paths] : {std::pair{"train", &train}, {"valid", &valid}, {"test", &test}, {"files", &files}}) {
    const Node* given = node.find(key);
    for (size_t i = 0; given && i < paths->size(); ++i)
      if ((*paths)[i].empty())
        d.error(Code::malformed, given->is_list() && i < given->items.size() ? given->items[i].at : given->at,
                std::string("`") + key + "` has a path that is empty", "name a file, or remove it");
  }
  const auto at = [&](const char* key) { return node.find(key) ? node.find_entry(key)->at : node.at; };
  if (!files.empty() && !(train.empty() && valid.empty() && test.empty()))
    d.error(Code::conflict, at("files"),
            "`files` stands for `train`, `valid` and `test`, so they cannot be given as well",
            "keep `files` with `split`, or the three");
  if (split && files.empty())
    d.error(Code::conflict, at("split"), "`split` cuts `files`, which is not given",
            "write `files:` instead of `train:`");
  if (!files.empty() && !split)
    d.warning(Code::no_effect, at("files"),
              "without `split` every row of `files` is trained on and nothing is evaluated");
  if (delimiter.size() > 1 || delimiter == "\"" || delimiter == "\n" || delimiter == "\r")
    d.error(Code::out_of_bounds, node.find("delimiter")->at, "`delimiter` must be one byte, and no quote or line end",
            "a tab is \"\\t\"");
  if (header == false && columns.names.empty())
    d.error(Code::missing_key, at("header"), "a file without a header needs `columns`",
            "write columns: {prefix: c, count: N}");
}

// ---- labels, tables, features

void Label::fields(Fields& f) {
  f("column", column, "its column; the label's name when not given");
  f("type", type, "0/1, or a number");
  f("positive", positive,
    "what counts as 1: a list of exact texts, or a comparison such as \">= 3\"; unset: the column holds 0 and 1")
      .unset("auto");
}

namespace {

bool takes_weight_decay(const std::vector<Choice>& choices, const std::string& type) {
  const Choice* chosen = find_choice(choices, type);
  return chosen && chosen->weight_decay;
}

}  // namespace

void SparseOptimizer::fields(Fields& f) {
  f("type", type, "update rule; rowwise_adagrad keeps one accumulator a row")
      .one_of(choice_names(table_optimizer_choices()))
      .selects();
  f("lr", lr, "learning rate").above(0).max(1000);
  numbers.fields(f, table_optimizer_choices(), type);
  f("weight_decay", weight_decay, "times the row, added to its gradient")
      .min(0)
      .max(1e9)
      .only_if(takes_weight_decay(table_optimizer_choices(), type));
}

void SparseOptimizer::check(const Node& node, Diagnostics& d) const {
  numbers.check(node, table_optimizer_choices(), type, d);
}

void Table::fields(Fields& f) {
  const bool vocab = ids == IdSpace::vocab;
  f("ids", ids,
    "hash: any value, hashed into `rows`; vocab: the values of the training rows; int: numbers in [0, rows)")
      .selects();
  Row& row = f("rows", rows, "number of rows; 100000 for hash when not given").min(1).max(2147483647).only_if(!vocab);
  if (ids == IdSpace::integer) row.required();
  f("min_count", min_count, "rarer values share the row of unseen ones").min(1).only_if(vocab);
  f("vocab_from", vocab_from, "features whose values fill the vocabulary; all that use the table when not given")
      .only_if(vocab);
  f("dim", dim, "width of a row").min(1).max(8192);
  f("init", init, "how rows start");
  f("optimizer", optimizer, "train.sparse_optimizer when not given").unset("inherit");
  f("l2", l2, "penalty on the rows a batch touched").min(0).max(1e9);
}

void TrainOnly::fields(Fields& f) { f("serve_as", serve_as, "the value that stands in when scoring").required(); }

void Feature::fields(Fields& f) {
  const bool id = type == FeatureType::id, ids = type == FeatureType::ids, dense = type == FeatureType::dense;
  f("type", type,
    "id: one value; ids: a list in one field; bucket: a number by its interval; dense: numbers as they are")
      .selects()
      .required();
  f("columns", columns,
    "one feature a column, or one block of numbers for dense; \"c{0..17}\" stands for c0 ... c17; `column` for one")
      .at_least(1);
  f("table", table, "the embedding table; one of the feature's name when not given").only_if(!dense);
  f("separator", separator, "between the ids of a list").only_if(ids);
  f("pool", pool,
    "how the rows x of a list become one, w being their `weights`: sum: Σ w x; mean: Σ w x / Σ w; sqrtn: Σ w x / "
    "sqrt(Σ w²); an empty list is zeros")
      .only_if(ids);
  f("weights", weights, "column with one weight for each id of the list; 1 each when not given").only_if(ids);
  f("max_len", max_len, "longer lists are cut to this").min(1).max(1000000).only_if(ids);
  f("keep", keep, "which end of a list that is too long stays").only_if(ids);
  f("length", length, "every list has exactly this many ids").min(1).max(1000000).unset("any").only_if(ids);
  f("unseen", unseen, "ids outside the vocabulary share a row, or count for nothing").only_if(id || ids);
  f("boundaries", boundaries, "ascending; n of them make n + 1 intervals, [b, next) each")
      .at_least(1)
      .required()
      .only_if(type == FeatureType::bucket);
  f("missing", missing, "stands for an empty field, before everything else").only_if(dense);
  f("clip", clip, "[low, high], before the transform").only_if(dense);
  f("transform", transform, "log1p: log(1 + max(x, 0))").only_if(dense);
  f("normalize", normalize, "zscore: by mean and deviation over the training rows, last").only_if(dense);
  f("train_only", train_only, "known in training only: {serve_as: value} stands in when scoring");
}

void Feature::check(const Node& node, Diagnostics& d) const {
  if (type == FeatureType::bucket && !std::is_sorted(boundaries.begin(), boundaries.end(), std::less_equal<>()))
    d.error(Code::out_of_bounds, node.find("boundaries")->at, "`boundaries` must ascend");
  if (clip && (clip->size() != 2 || !((*clip)[0] < (*clip)[1])))
    d.error(Code::out_of_bounds, node.find("clip")->at, "`clip` takes [low, high] with low below high");
  if (type == FeatureType::ids && separator.size() != 1)
    d.error(Code::out_of_bounds, node.find("separator")->at, "`separator` must be one byte");
  if (type == FeatureType::ids && max_len && length && *length > *max_len)
    d.error(Code::impossible_setting, node.find("length")->at, "`length` is more than `max_len`");
}

// ---- tasks

void LossConfig::fields(Fields& f) {
  static const std::string help = loss_names(true) + " for 0/1 labels, " + loss_names(false) + " for numbers";
  f("type", type, help.c_str()).one_of(choice_names(loss_choices())).selects();
  numbers.fields(f, loss_choices(), type);
}

void LossConfig::check(const Node& node, Diagnostics& d) const { numbers.check(node, loss_choices(), type, d); }

void Task::fields(Fields& f) {
  f("label", label, "the task's name when not given");
  f("weight", weight, "of its loss in the total").min(0).max(1e9);
  f("loss", loss, "bce, or mse for a regression label, when not given").unset("auto");
  f("tower", tower,
    "layers between `from` and the logit: an mlp unless `type` says otherwise; [64] from the last layer when not "
    "given");
  f("only_when", only_when, "a condition on labels: the rows of its loss and its metrics");
  f("trained_as", trained_as, "a product of tasks: the loss is that of the product, over all rows");
}

// ---- train, eval, outputs

void DenseOptimizer::fields(Fields& f) {
  f("type", type, "update rule").one_of(choice_names(dense_optimizer_choices())).selects();
  f("lr", lr, "learning rate").above(0).max(1000);
  numbers.fields(f, dense_optimizer_choices(), type);
  f("weight_decay", weight_decay, "times the parameter, added to its gradient; adamw: taken off the parameter")
      .min(0)
      .max(1e9)
      .only_if(takes_weight_decay(dense_optimizer_choices(), type));
}

void DenseOptimizer::check(const Node& node, Diagnostics& d) const {
  numbers.check(node, dense_optimizer_choices(), type, d);
}

void Schedule::fields(Fields& f) {
  const bool decays = type == ScheduleKind::linear || type == ScheduleKind::cosine, step = type == ScheduleKind::step;
  f("type", type, "of the learning rates after the warm-up").selects();
  f("warmup_steps", warmup_steps, "the rates rise from 0 over this many steps").min(0);
  f("decay_steps", decay_steps, "the step at which the floor is reached").min(1).unset("run").only_if(decays);
  f("floor", floor, "share of the rate that remains").min(0).max(1).only_if(decays);
  f("every", every, "steps between two cuts").min(1).only_if(step);
  f("factor", factor, "what a cut multiplies by").above(0).max(1).only_if(step);
}

void Shuffle::fields(Fields& f) {
  f("mode", mode, "auto: a full permutation if the rows fit `memory`, otherwise blocks read interleaved").selects();
  f("memory", memory, "encoded rows held at once: this much is permuted as a whole, more in windows of half of it");
}

void CheckpointConfig::fields(Fields& f) {
  f("every", every, "epoch, N steps, or a time").selects();
  f("keep", keep, "how many are kept, the best besides").min(1).max(1000000);
}

void TrainConfig::fields(Fields& f) {
  f("device", device, "auto takes a GPU where there is one");
  f("precision", precision, "of activations and matrix products; tf32 and bf16 need cuda");
  f("batch_size", batch_size, "rows a step, over all processes").min(1).max(1 << 24);
  f("epochs", epochs, "passes over the training rows").min(1).max(1000000);
  f("max_steps", max_steps, "stops earlier").min(1);
  f("dense_optimizer", dense_optimizer, "of everything but the tables");
  f("sparse_optimizer", sparse_optimizer, "of tables without one of their own");
  f("schedule", schedule, "multiplies both learning rates");
  f("clip_norm", clip_norm, "limit of the norm of the dense gradients").above(0);
  f("shuffle", shuffle, "order of the training rows, a function of seed and epoch");
  f("checkpoint", checkpoint, "when the state is written");
  f("init_from", init_from, "a run or bundle whose parameters are taken over by name");
  f("logical_shards", logical_shards,
    "parts of a batch that are summed in a fixed order: a power of two; auto: 8 on the CPU, 1 on a GPU, "
    "where a run goes on what it began with")
      .min(1)
      .max(kMaxLogicalShards)
      .unset("auto");
  f("threads", threads, "worker threads; never changes a result").min(1).max(kMaxThreads).unset("auto");
  f("memory", memory, "budget; the machine's when not given").unset("auto");
}

int TrainConfig::host_threads() const { return static_cast<int>(threads.value_or(host_cores())); }

int TrainConfig::shards(bool accelerated) const {
  return static_cast<int>(logical_shards.value_or(accelerated ? 1 : 8));
}

void TrainConfig::check(const Node& node, Diagnostics& d) const {
  if (logical_shards && (*logical_shards & (*logical_shards - 1)) != 0)
    d.error(Code::out_of_bounds, node.find("logical_shards")->at,
            "`logical_shards` is " + std::to_string(*logical_shards) + ", it must be a power of two");
  if (precision != Precision::fp32 && device == DeviceKind::cpu)
    d.error(Code::impossible_setting, node.find("precision")->at,
            std::string("`precision: ") + enum_name(precision) + "` needs `device: cuda`", "the CPU computes in fp32");
  if (max_steps && schedule.warmup_steps > *max_steps) {
    const Node* warmup = node.find_path("schedule.warmup_steps");
    d.warning(Code::long_warmup, warmup ? warmup->at : node.at,
              "the warm-up of " + std::to_string(schedule.warmup_steps) + " steps is longer than the run of " +
                  std::to_string(*max_steps),
              "the full learning rate is never reached");
  }
}

void EvalConfig::fields(Fields& f) {
  f("every", every, "epoch or N steps").selects();
  f("metrics", metrics, "per task; what suits the labels when not given");
  f("segments", segments, "columns by whose values the metrics are given as well");
  f("best", best, "which checkpoint is best: metric of a task, or mean over tasks; mean.auc where there is one")
      .unset("last");
  f("patience", patience, "evaluations without a better one before the run stops").min(1);
  f("batch_size", batch_size, "rows at once; 8192 when not given").min(1).max(1 << 24).unset("auto");
}

void Output::fields(Fields& f) {
  f("expr", expr, "a task, or arithmetic over tasks").required();
  f("label", label, "measured against it on all rows");
}

}  // namespace mtrank
