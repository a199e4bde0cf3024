#include <algorithm>
#include <set>

#include "framework/config/build.h"

namespace mtrank {
namespace {

template <class T>
std::vector<std::string> names_of(const std::vector<T>& things) {
  std::vector<std::string> out;
  for (const T& thing : things) out.push_back(thing.name);
  return out;
}

void append(std::vector<std::string>& out, const std::vector<std::string>& more) {
  out.insert(out.end(), more.begin(), more.end());
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_identifier(const std::string& name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// Files hold a layer's and a task's weights as "<name>/…", beside tensors of other kinds.
bool is_reserved(const std::string& name) {
  return name == "embedding" || name.starts_with('_') || name.starts_with('#') || name.starts_with("vocab.");
}
constexpr const char* kReservedHelp =
    "`embedding`, `vocab.…` and names that begin with _ or # are those of other tensors in a bundle";

/// Names that something refers to, "kind:name".
class Used {
 public:
  void add(const char* kind, const std::string& name) { names_.insert(std::string(kind) + ":" + name); }
  bool has(const char* kind, const std::string& name) const { return names_.count(std::string(kind) + ":" + name) > 0; }

 private:
  std::set<std::string> names_;
};

class Checker {
 public:
  Checker(const Config& config, Diagnostics& d) : c_(config), d_(d) {}

  void run() {
    check_names();
    check_labels();
    check_tables();
    check_layers();
    check_tasks();
    check_metrics();
    check_outputs();
    check_columns();
  }

  struct Unused {
    const char* kind;
    Name name;
    std::string help;
  };
  std::vector<Unused> unused() const {
    std::vector<Unused> out;
    for (const Label& label : c_.labels)
      if (!used_.has("label", label.name)) out.push_back({"label", label.name, "give it a task, or remove it"});
    for (const Table& table : c_.tables)
      if (table.declared && !used_.has("table", table.name))
        out.push_back({"table", table.name, "name it in a feature: table: " + table.name});
    for (const Feature& group : c_.feature_groups)
      if (!group_used(group)) out.push_back({"feature", group.name, "name it in a layer's `from`, or remove it"});
    for (const Layer& layer : c_.layers)
      if (!used_.has("layer", layer.name))
        out.push_back({"layer", layer.name, "name it in the `from` of a layer or a tower"});
    return out;
  }

 private:
  bool group_used(const Feature& group) const {
    if (used_.has("feature", group.name)) return true;
    if (!group.one_a_column) return false;
    return std::any_of(group.columns.begin(), group.columns.end(),
                       [&](const Name& n) { return used_.has("feature", n); });
  }

  /// Reports a name that is none of the candidates; the nearest one counts as used, so that a slip is one error.
  void undefined(const char* kind, const Name& name, const std::vector<std::string>& candidates) {
    const std::string message = std::string("there is no ") + kind + " `" + name + "`";
    // A search each: with hundreds of undefined names it is something else than a slip.
    if (++undefined_ > 200) return d_.error(Code::undefined_name, name.at, message);
    d_.error(Code::undefined_name, name.at, message, suggestion(name, candidates, "there are"));
    const std::string near = nearest(name, candidates);
    for (const char* any : {"label", "table", "feature", "layer"}) used_.add(any, near);
  }

  bool use_label(const Name& name) {
    used_.add("label", name);
    if (c_.label(name)) return true;
    return undefined("label", name, names_of(c_.labels)), false;
  }

  template <class T>
  void distinct(const std::vector<T>& things, const char* kind) {
    std::set<std::string> seen;
    for (const T& thing : things)
      if (!seen.insert(thing.name).second)
        d_.error(Code::duplicate_name, thing.name.at, std::string(kind) + " `" + thing.name + "` is defined twice");
  }

  void check_names() {
    distinct(c_.features, "feature");
    for (const Layer& layer : c_.layers) {
      if (layer.name == "features")
        d_.error(Code::duplicate_name, layer.at, "`features` stands for all features and cannot name a layer");
      else if (c_.feature(layer.name) || c_.feature_group(layer.name))
        d_.error(Code::duplicate_name, layer.at, "`" + layer.name + "` is a feature and a layer", "rename one of them");
      else if (c_.task(layer.name))
        d_.error(Code::duplicate_name, layer.at, "`" + layer.name + "` is a task and a layer",
                 "rename the layer, such as `" + layer.name + "_layer`: their weights would have the same names");
      else if (layer.name.empty() || layer.name.find('/') != std::string::npos)
        d_.error(Code::malformed, layer.at, "`" + layer.name + "` cannot name a layer",
                 "a name is not empty and has no `/`, which stands between the parts of a weight's name");
      else if (is_reserved(layer.name))
        d_.error(Code::malformed, layer.at, "`" + layer.name + "` cannot name a layer", kReservedHelp);
    }
    for (const Feature& group : c_.feature_groups) {
      if (group.name == "features")
        d_.error(Code::duplicate_name, group.name.at, "`features` stands for all features and cannot name one");
      const Feature* same = group.one_a_column ? c_.feature(group.name) : nullptr;
      if (same && std::find(group.columns.begin(), group.columns.end(), group.name) == group.columns.end())
        d_.error(Code::duplicate_name, group.name.at, "`" + group.name + "` is a feature and a group of features");
    }
    const auto identifiers = [&](const auto& things, const char* kind) {
      for (const auto& thing : things)
        if (!is_identifier(thing.name))
          d_.error(Code::malformed, thing.name.at, std::string("`") + thing.name + "` cannot name a " + kind,
                   "letters, digits and _, no digit first: expressions use it");
    };
    identifiers(c_.labels, "label");
    identifiers(c_.tasks, "task");
    for (const Task& task : c_.tasks)
      if (task.name == "mean")
        d_.error(Code::malformed, task.name.at, "`mean` cannot name a task",
                 "`mean.auc` in `best` is the mean over all tasks; call it `mean_task`, say");
      else if (is_reserved(task.name))
        d_.error(Code::malformed, task.name.at, "`" + task.name + "` cannot name a task", kReservedHelp);
  }

  void check_labels() {
    for (const Label& label : c_.labels) {
      if (label.positive && label.type == LabelType::regression)
        d_.error(Code::does_not_apply, c_.at("labels." + label.name + ".positive"),
                 "`positive` does not apply to a regression label");
      for (const Feature& feature : c_.features) {
        for (const Name& column : feature.columns)
          if (column == label.column) leak(feature, column, label);
        if (feature.weights && *feature.weights == label.column) leak(feature, *feature.weights, label);
      }
    }
    if (c_.data.sample) check_sample(*c_.data.sample);
  }

  void check_sample(const Sample& sample) {
    for (const Name& name : sample.when.names()) use_label(name);
    if (sample.correct == Correct::logit && sample.when.clauses.size() > 1)
      d_.warning(Code::no_effect, c_.at("data.sample.correct"),
                 "`correct: logit` has no effect where `when` has several conditions: kept rows weigh 1/keep instead",
                 "write `correct: weight`, or one condition");
  }

  void leak(const Feature& feature, const Name& column, const Label& label) {
    d_.error(Code::label_leak, column.at,
             "feature `" + feature.name + "` reads `" + column + "`, the column of label `" + label.name + "`",
             "a label is not known when the model scores: remove the feature");
  }

  void check_tables() {
    std::vector<std::string> candidates = names_of(c_.tables);
    for (const Feature& feature : c_.features) {
      if (feature.train_only) check_serve_as(feature);
      if (!feature.has_table()) continue;
      used_.add("table", feature.table);
      const Table* table = c_.table(feature.table);
      if (!table) {
        undefined("table", feature.table, candidates);
        continue;
      }
      const auto buckets = static_cast<int64_t>(feature.boundaries.size()) + 2;
      if (feature.type == FeatureType::bucket && (table->ids != IdSpace::integer || table->rows < buckets))
        d_.error(Code::impossible_setting, feature.table.at.known() ? feature.table.at : feature.name.at,
                 "the buckets of `" + feature.name + "` need a table with ids: int and at least " +
                     std::to_string(buckets) + " rows",
                 "remove `table`: a bucket feature owns a table of the right size");
      if (feature.unseen == Unseen::drop && table->ids != IdSpace::vocab)
        d_.warning(Code::no_effect, feature.name.at,
                   "`unseen: drop` of `" + feature.name + "` has no effect: only a vocabulary has unseen ids");
    }
    for (const Table& table : c_.tables)
      for (const Name& name : table.vocab_from) check_vocab_from(table, name);
  }

  void check_serve_as(const Feature& feature) {
    const Node value = Node::scalar(feature.train_only->serve_as);
    const Table* table = feature.has_table() ? c_.table(feature.table) : nullptr;
    const bool id = feature.type == FeatureType::id && table && table->ids == IdSpace::integer;
    const bool number = feature.type == FeatureType::dense || feature.type == FeatureType::bucket;
    const auto whole = value.as_int();
    if (number && !value.as_double() && !value.text.empty())
      d_.error(Code::wrong_type, serve_as_place(feature),
               "`serve_as` of `" + feature.name + "` is `" + value.text + "`, the feature takes numbers");
    if (id && (!whole || *whole < 0 || *whole >= table->rows))
      d_.error(Code::out_of_bounds, serve_as_place(feature),
               "`serve_as` of `" + feature.name + "` is `" + value.text + "`, the ids of table `" + table->name +
                   "` are in [0, " + std::to_string(table->rows) + ")");
  }

  Location serve_as_place(const Feature& feature) const {
    for (const Feature& group : c_.feature_groups)
      for (const Name& column : group.columns)
        if (column == feature.columns[0])
          if (const Node* node = c_.tree.find_path("features." + group.name + ".train_only.serve_as")) return node->at;
    return feature.name.at;
  }

  void check_vocab_from(const Table& table, const Name& name) {
    const auto features = c_.features_named(name);
    if (features.empty()) return undefined("feature", name, names_of(c_.features));
    for (const Feature* feature : features)
      if (feature->table != table.name && c_.table(feature->table))
        d_.error(Code::impossible_setting, name.at,
                 "feature `" + feature->name + "` fills the vocabulary of `" + table.name + "` but uses table `" +
                     feature->table + "`",
                 "give it table: " + table.name);
  }

  /// `above` is the number of layers that may be referred to.
  void check_from(const std::vector<Name>& from, size_t above, const std::string& self) {
    std::set<std::string> seen;
    for (const Name& name : from) {
      if (!seen.insert(name).second)
        d_.error(Code::duplicate_name, name.at, "`" + name + "` is listed twice in one `from`");
      const auto features = c_.features_named(name);
      for (const Feature* feature : features) used_.add("feature", feature->name);
      used_.add("feature", name);
      if (!features.empty() || name == "features") continue;
      const auto layer =
          std::find_if(c_.layers.begin(), c_.layers.end(), [&](const Layer& l) { return l.name == name; });
      used_.add("layer", name);
      const auto place = static_cast<size_t>(layer - c_.layers.begin());
      if (layer == c_.layers.end())
        undefined_input(name, above);
      else if (name == self)
        d_.error(Code::bad_order, name.at, "layer `" + name + "` feeds itself",
                 "a layer reads layers above it and features");
      else if (place >= above)
        d_.error(Code::bad_order, name.at,
                 "layer `" + name + "` is defined below, on line " + std::to_string(layer->at.line),
                 "a layer reads layers above it and features: move `" + name + "` up");
    }
  }

  void undefined_input(const Name& name, size_t above) {
    std::vector<std::string> candidates;
    for (size_t i = 0; i < above; ++i) candidates.push_back(c_.layers[i].name);
    append(candidates, names_of(c_.features));
    for (const Feature& group : c_.feature_groups)
      if (group.one_a_column) candidates.push_back(group.name);  // the others are features themselves
    candidates.emplace_back("features");
    undefined("layer or feature", name, candidates);
  }

  void check_layers() {
    for (size_t i = 0; i < c_.layers.size(); ++i) {
      const Layer& layer = c_.layers[i];
      if (layer.type.empty())
        d_.error(Code::missing_key, layer.at, "layer `" + layer.name + "` has no `type`",
                 "such as mlp, dcn_v2 or mmoe");
      check_from(layer.from, i, layer.name);
    }
    for (const Task& task : c_.tasks) check_from(task.tower.from, c_.layers.size(), "");
  }

  void check_tasks() {
    for (const Task& task : c_.tasks) {
      const Label* label = use_label(task.label) ? c_.label(task.label) : nullptr;
      const bool number = label && label->type == LabelType::regression;
      const Choice* loss = task.loss ? find_choice(loss_choices(), task.loss->type) : nullptr;
      if (number && loss && loss->binary)
        d_.error(Code::impossible_setting, setting(task, "loss"),
                 "the loss " + task.loss->type + " needs a 0/1 label, `" + label->name + "` is a regression label",
                 "use " + loss_names(false));
      if (label && !number && loss && !loss->binary)
        d_.error(
            Code::impossible_setting, setting(task, "loss"),
            "the loss " + task.loss->type + " is for numbers, `" + label->name + "` is a 0/1 label",
            "use " + loss_names(true) + ", or make it a number: labels: {" + label->name + ": {type: regression}}");
      if (task.only_when) check_only_when(task, label);
      if (task.trained_as) check_trained_as(task, number);
    }
    if (!c_.tasks.empty() && std::all_of(c_.tasks.begin(), c_.tasks.end(), [](const Task& t) { return t.weight == 0; }))
      d_.error(Code::impossible_setting, setting(c_.tasks[0], "weight"),
               "the weight of every task is 0: there is nothing to train");
  }

  Location setting(const Task& task, const char* key) const {
    for (const std::string& path : {"tasks." + task.name + "." + key, std::string("defaults.task.") + key})
      if (const Node* node = c_.tree.find_path(path)) return node->at;
    return task.at;
  }

  void check_only_when(const Task& task, const Label* label) {
    for (const Name& name : task.only_when->names()) use_label(name);
    for (const auto& clause : task.only_when->clauses)
      if (label && clause.name == label->name && label->type == LabelType::binary)
        d_.error(Code::impossible_setting, task.only_when->at,
                 "`only_when` of `" + task.name + "` looks at its own label: one class would be left",
                 "name the label of an earlier step of the funnel");
  }

  void check_trained_as(const Task& task, bool number) {
    const Expression& product = *task.trained_as;
    bool has_itself = false;
    std::string other = "click";
    for (const Name& name : product.names()) {
      has_itself |= name == task.name;
      if (name != task.name) other = name;
      const Task* factor = c_.task(name);
      if (!factor) undefined("task", name, names_of(c_.tasks));
    }
    if (!product.is_product())
      d_.error(Code::impossible_setting, product.at, "`trained_as` must be a product of tasks",
               "write it like " + other + " * " + task.name);
    else if (!has_itself)
      d_.error(Code::impossible_setting, product.at,
               "`trained_as` of `" + task.name + "` leaves out `" + task.name + "` itself",
               "its tower would never be trained: add * " + task.name);
    if (task.only_when)
      d_.error(Code::conflict, task.only_when->at, "`trained_as` takes the loss over all rows, `only_when` over some",
               "keep one of them");
    if (number) d_.error(Code::impossible_setting, product.at, "`trained_as` needs a 0/1 label and its loss");
  }

  bool metric_fits(const MetricRule& rule, const Task& task) const {
    const Label* label = c_.label(task.label);
    if (!label) return true;
    return (label->type == LabelType::binary) == (rule.task == MetricRule::Task::binary);
  }

  void check_metrics() {
    std::set<std::string> seen;
    for (const MetricCall& metric : c_.eval.metrics) {
      const MetricRule* rule = metric_rule(metric.name);
      if (!rule) continue;
      if (!seen.insert(metric.text()).second)
        d_.error(Code::duplicate_name, metric.at, "metric `" + metric.text() + "` is listed twice");
      if (!c_.tasks.empty() &&
          std::none_of(c_.tasks.begin(), c_.tasks.end(), [&](const Task& t) { return metric_fits(*rule, t); }))
        misfit(*rule, metric.at,
               rule->task == MetricRule::Task::binary ? "and every task is a regression" : "and every label is 0/1");
    }
    if (c_.eval.best) check_best(*c_.eval.best);
    if (!c_.data.has_valid() && c_.eval.patience)
      d_.warning(Code::no_effect, c_.at("eval.patience"), "`patience` has no effect without validation data");
    if (!c_.data.has_valid() && c_.eval.best)
      d_.warning(Code::no_effect, c_.at("eval.best"), "`best` has no effect without validation data");
    if (c_.eval.patience && !c_.eval.best && c_.data.has_valid())
      d_.error(Code::impossible_setting, c_.at("eval.patience"), "`patience` needs a metric to wait for: set `best`");
  }

  void check_best(const BestCall& best) {
    const MetricRule* rule = metric_rule(best.metric.name);
    if (!rule) return;
    std::vector<std::string> listed, scopes = names_of(c_.tasks);
    for (const MetricCall& metric : c_.eval.metrics) listed.push_back(metric.text());
    scopes.emplace_back("mean");
    Name scope(best.scope, best.at);
    scope.at.length = static_cast<int>(best.scope.size());
    if (!contains(scopes, best.scope)) undefined("task", scope, scopes);
    if (!contains(listed, best.metric.text()))
      d_.error(Code::impossible_metric, best.at,
               "`best` looks at `" + best.metric.text() + "`, which is not among the metrics",
               suggestion(best.metric.text(), listed, "there are"));
    if (rule->direction == MetricRule::Direction::toward_one)
      d_.error(Code::impossible_metric, best.at, "`" + best.metric.name + "` does not say which checkpoint is better",
               "its ideal is a value in between: use logloss or ece");
    if (const Task* task = c_.task(best.scope); task && !metric_fits(*rule, *task))
      misfit(*rule, best.at, "`" + task->label + "` is none");
  }

  void misfit(const MetricRule& rule, const Location& at, const std::string& but) {
    const bool binary = rule.task == MetricRule::Task::binary;
    d_.error(Code::impossible_metric, at,
             std::string("`") + rule.name + "` needs a " + (binary ? "0/1" : "regression") + " label, " + but,
             binary ? "use mse, rmse or mae" : "use auc, logloss or ne");
  }

  void check_outputs() {
    for (const Output& output : c_.outputs) {
      for (const Name& name : output.expr.names())
        if (!c_.task(name)) undefined("task", name, names_of(c_.tasks));
      if (output.label) use_label(*output.label);
    }
  }

  /// Where the config names the columns itself, a column that is not among them is found here.
  void check_columns() {
    const auto& listed = c_.data.columns.names;
    const std::set<std::string> known(listed.begin(), listed.end());
    if (known.empty()) return;
    int wrong = 0;
    const auto check = [&](const std::string& column, const Location& at) {
      if (known.count(column) > 0) return;
      d_.error(Code::no_such_column, at, "`data.columns` has no column `" + column + "`",
               ++wrong > 200 ? std::string() : suggestion(column, listed, "there are"));
    };
    for (const Feature& feature : c_.features) {
      for (const Name& column : feature.columns) check(column, column.at);
      if (feature.weights) check(*feature.weights, feature.weights->at);
    }
    for (const Label& label : c_.labels) check(label.column, label.column.at);
    if (c_.data.weight) check(*c_.data.weight, c_.data.weight->at);
    if (c_.data.split && c_.data.split->by != "row") check(c_.data.split->by, c_.data.split->by.at);
    for (const Name& segment : c_.eval.segments) check(segment, segment.at);
    for (const MetricCall& metric : c_.eval.metrics)
      if (const MetricRule* rule = metric_rule(metric.name); rule && rule->argument == MetricRule::Argument::column)
        check(metric.args.empty() ? "" : metric.args[0], metric.at);
  }

  const Config& c_;
  Diagnostics& d_;
  Used used_;
  int undefined_ = 0;
};

}  // namespace

void check_config(const Config& config, const Config* before, Diagnostics& d) {
  Checker checker(config, d);
  checker.run();
  if (config.tasks.empty()) return;  // nothing can be used
  std::set<std::string> unused_before;
  if (before) {
    Diagnostics ignored;
    Checker old(*before, ignored);
    old.run();
    for (const auto& one : old.unused()) unused_before.insert(one.kind + (":" + one.name));
  }
  for (const auto& one : checker.unused()) {
    const std::string what = std::string(one.kind) + " `" + one.name + "` is not used";
    if (before && unused_before.count(one.kind + (":" + one.name)) == 0)
      d.warning(Code::unused_by_override, one.name.at, what + " any more, after --set");
    else
      d.error(Code::unused_name, one.name.at, what, one.help);
  }
}

}  // namespace mtrank
