#include "models/model.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "framework/core/error.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/add.h"
#include "framework/ops/arithmetic.h"
#include "framework/ops/linear.h"
#include "framework/ops/lookup.h"
#include "framework/ops/loss.h"
#include "framework/ops/product_logit.h"
#include "framework/ops/sigmoid.h"
#include "models/layer.h"

namespace mtrank {
namespace {

std::vector<std::string> layer_names() {
  std::vector<std::string> names;
  for (const LayerInfo* layer : all_layers()) names.emplace_back(layer->name);
  return names;
}

void resolve_layer(Layer& layer, Diagnostics& diagnostics) {
  if (layer.type.empty()) return;  // which is an error already
  const LayerInfo* info = find_layer(layer.type);
  if (!info) {
    diagnostics.error(Code::undefined_name, layer.type.at.known() ? layer.type.at : layer.at,
                      "there is no layer type `" + layer.type + "`", suggestion(layer.type, layer_names()));
    return;
  }
  const int before = diagnostics.reported();
  layer.settings = info->resolve(layer.settings, diagnostics);
  layer.sound &= diagnostics.reported() == before;
}

/// fan_in, glorot and he see a table as a linear layer from its one-hot rows.
WeightInit table_init(const Init& init, int64_t rows, int64_t dim) {
  using Kind = Init::Kind;
  const auto n = static_cast<double>(rows), d = static_cast<double>(dim);
  auto uniform = [](double bound) { return WeightInit{WeightInit::Kind::uniform, -bound, bound}; };
  switch (init.kind) {
    case Kind::normal:
      return {WeightInit::Kind::normal, init.a, 0};
    case Kind::uniform:
      return {WeightInit::Kind::uniform, init.a, init.b};
    case Kind::constant:
      return {WeightInit::Kind::constant, init.a, 0};
    case Kind::zeros:
      return {};
    case Kind::fan_in:
      return uniform(1 / std::sqrt(n));
    case Kind::glorot:
      return uniform(std::sqrt(6 / (n + d)));
    case Kind::he:
      return {WeightInit::Kind::normal, std::sqrt(2 / n), 0};
  }
  return {};
}

class ModelBuilder {
 public:
  ModelBuilder(const Config& config, const TableRows& rows, ModelUse use, Diagnostics& diagnostics)
      : config_(config),
        rows_(rows),
        use_(use),
        diagnostics_(diagnostics),
        builder_(graph_, use == ModelUse::training) {
    for (const Task& task : config.tasks) tasks_.push_back(task.name);
  }

  Graph build() {
    inputs();
    for (const Layer& layer : config_.layers) {
      // check_config refuses these names; their weights could not be told apart.
      if (config_.task(layer.name) || layer.name.find('/') != std::string::npos) continue;
      if (auto output = layer_output(layer, -1)) built_.emplace(layer.name, *output);
    }
    for (size_t t = 0; t < tasks_.size(); ++t)
      if (const auto hidden = tower(config_.tasks[t], t)) logits_.push_back(logit(config_.tasks[t], *hidden));
    check_size();
    if (!diagnostics_.ok()) return {};
    MTRANK_ASSERT(logits_.size() == tasks_.size());
    if (use_ == ModelUse::training) {
      for (size_t t = 0; t < tasks_.size(); ++t) add_loss(config_.tasks[t], t);
      differentiate(graph_);
    } else {
      for (size_t t = 0; t < tasks_.size(); ++t) predictions_.push_back(prediction(config_.tasks[t], t));
      for (const Output& output : config_.outputs) graph_.outputs.push_back({output.name, value_of(output.expr)});
      for (size_t t = 0; t < tasks_.size(); ++t)
        graph_.outputs.push_back({kTaskOutput + tasks_[t], measured(config_.tasks[t], t)});
      graph_.forward_nodes = graph_.nodes.size();
    }
    return std::move(graph_);
  }

 private:
  /// Below the bound no sum of bytes that is computed from here on overflows, and a plan of memory says what is too
  /// much for this machine.
  void check_size() {
    constexpr double most = int64_t{1} << 45;
    double weights = 0, columns = 0;
    for (const Value& value : graph_.values) {
      if (value.kind == ValueKind::param || value.kind == ValueKind::table)
        weights += static_cast<double>(value.rows) * static_cast<double>(value.cols);
      else if (value.batch)
        columns += static_cast<double>(value.cols);
    }
    const double activations = columns * static_cast<double>(std::max<int64_t>(config_.train.batch_size, 4096));
    const auto refuse = [&](double n, const std::string& what, const char* path) {
      if (n > most)
        diagnostics_.error(Code::impossible_setting, config_.at(path),
                           "the model has " + Node::number(n).text + what + ", more than any machine holds",
                           "make its layers or tables smaller");
    };
    refuse(weights, " weights", "model");
    refuse(activations, " values in a batch", "train.batch_size");
  }

  void inputs() {
    std::map<std::string, ValueId> tables;
    for (const Table& table : config_.tables) {
      if (!table.sound) continue;
      const auto rows = rows_.find(table.name);
      MTRANK_ASSERT(rows != rows_.end());
      tables[table.name] = builder_.table("embedding/" + table.name, rows->second, table.dim,
                                          table_init(table.init, rows->second, table.dim));
    }
    std::vector<LookupFeature> features;
    std::vector<std::string> looked_up;
    for (const Feature& feature : config_.features) {
      if (!feature.sound || !feature.has_table() || tables.count(feature.table) == 0) continue;
      features.push_back({tables.at(feature.table), builder_.ids("ids:" + feature.name),
                          static_cast<Pooling>(static_cast<int>(feature.pool))});
      looked_up.push_back(feature.name);
    }
    if (!features.empty()) {
      const std::vector<ValueId> pooled = lookup(builder_, features);
      for (size_t i = 0; i < pooled.size(); ++i) features_[looked_up[i]] = pooled[i];
    }
    for (const Feature& feature : config_.features)
      if (feature.sound && !feature.has_table())
        features_[feature.name] = builder_.input("dense:" + feature.name, static_cast<int64_t>(feature.columns.size()));
  }

  /// The values that `from` names; `task` picks a task's own where a layer hands on one a task. Nothing where one of
  /// them could not be built.
  std::vector<ValueId> sources(const Layer& layer, int task) {
    std::vector<ValueId> values;
    bool sound = true;
    for (const Name& name : layer.from) {
      if (const auto made = built_.find(name); made != built_.end()) {
        sound &= append(values, made->second, name, task);
        continue;
      }
      const auto features = config_.features_named(name);
      sound &= !features.empty();
      for (const Feature* feature : features) {
        const auto value = feature ? features_.find(feature->name) : features_.end();
        sound &= value != features_.end();
        if (value != features_.end()) values.push_back(value->second);
      }
    }
    return sound ? values : std::vector<ValueId>{};
  }

  bool append(std::vector<ValueId>& values, const LayerOutput& output, const Name& name, int task) {
    if (!output.per_task) {
      values.push_back(output.values.front());
    } else if (task >= 0) {
      values.push_back(output.values[static_cast<size_t>(task)]);
    } else {
      diagnostics_.error(Code::shape_mismatch, name.at,
                         "`" + name + "` hands on one value a task, which only towers can read",
                         "name a layer above it");
      return false;
    }
    return true;
  }

  /// Nothing where the layer or one of its inputs is not sound: what is wrong with it was said, and what reads it
  /// cannot be checked.
  std::optional<LayerOutput> layer_output(const Layer& layer, int task) {
    const LayerInfo* info = find_layer(layer.type);
    if (!info || !layer.sound) return std::nullopt;
    Builder::Scope scope(builder_, layer.name);
    try {
      const std::vector<ValueId> from = sources(layer, task);
      if (from.empty()) return std::nullopt;
      LayerContext context{builder_, from, tasks_};
      return info->build(context, layer.settings);
    } catch (const ShapeError& error) {
      diagnostics_.error(Code::shape_mismatch, layer.at, "`" + layer.name + "`: " + error.what());
      return std::nullopt;
    }
  }

  /// What a task's logit reads.
  std::optional<ValueId> tower(const Task& task, size_t index) {
    const auto output = layer_output(task.tower, static_cast<int>(index));
    if (!output) return std::nullopt;
    return output->per_task ? output->values[index] : output->values.front();
  }

  ValueId logit(const Task& task, ValueId hidden) {
    Builder::Scope scope(builder_, task.name);
    return dense(builder_, "logit", hidden, 1);
  }

  std::vector<double> loss_parameters(const LossConfig& loss, const LossInfo& info) {
    std::vector<double> values;
    for (const Parameter& p : info.parameters) values.push_back(loss.numbers.get(loss.type, p.name, p.otherwise));
    return values;
  }

  void add_loss(const Task& task, size_t index) {
    const LossInfo* info = find_loss(task.loss->type);
    MTRANK_ASSERT(info);
    Builder::Scope scope(builder_, task.name);
    ValueId logit = logits_[index];
    if (task.trained_as) logit = product_logit(builder_, factors(*task.trained_as));
    if (corrects_logits() && info->binary) logit = add(builder_, {logit, builder_.input("correction", 1)});
    loss(builder_, info->name, loss_parameters(*task.loss, *info), task.name, logit, builder_.input("label", 1),
         builder_.input("weight", 1), builder_.scalar("scale"));
  }

  /// The logits of the tasks whose product `trained_as` names.
  std::vector<ValueId> factors(const Expression& product) const {
    std::vector<ValueId> logits;
    for (const Name& name : product.names())
      for (size_t t = 0; t < tasks_.size(); ++t)
        if (tasks_[t] == name) logits.push_back(logits_[t]);
    return logits;
  }

  bool corrects_logits() const { return config_.data.sample && config_.data.sample->correct == Correct::logit; }

  ValueId prediction(const Task& task, size_t index) {
    Builder::Scope scope(builder_, task.name);
    const LossInfo* info = find_loss(task.loss->type);
    return info->binary ? sigmoid(builder_, logits_[index], "prediction") : logits_[index];
  }

  /// What a task is measured on is what it was trained on.
  ValueId measured(const Task& task, size_t index) {
    return task.trained_as ? value_of(*task.trained_as) : predictions_[index];
  }

  ValueId value_of(const Expression& e) {
    using Op = Expression::Op;
    switch (e.op) {
      case Op::name:
        for (size_t t = 0; t < tasks_.size(); ++t)
          if (tasks_[t] == e.name) return predictions_[t];
        break;
      case Op::number:
        return affine(builder_, predictions_.front(), 0, e.value);
      case Op::negate:
        return affine(builder_, value_of(e.args[0]), -1, 0);
      case Op::add:
        return arithmetic(builder_, '+', value_of(e.args[0]), value_of(e.args[1]));
      case Op::subtract:
        return arithmetic(builder_, '-', value_of(e.args[0]), value_of(e.args[1]));
      case Op::multiply:
        return arithmetic(builder_, '*', value_of(e.args[0]), value_of(e.args[1]));
      case Op::divide:
        return arithmetic(builder_, '/', value_of(e.args[0]), value_of(e.args[1]));
    }
    MTRANK_ASSERT(!"the config checked its names");
    return kNoValue;
  }

  const Config& config_;
  const TableRows& rows_;
  ModelUse use_;
  Diagnostics& diagnostics_;
  Graph graph_;
  Builder builder_;
  std::vector<std::string> tasks_;
  std::map<std::string, ValueId> features_;
  std::map<std::string, LayerOutput> built_;
  std::vector<ValueId> logits_, predictions_;
};

}  // namespace

void resolve_layers(Config& config, Diagnostics& diagnostics) {
  for (Layer& layer : config.layers) resolve_layer(layer, diagnostics);
  for (Task& task : config.tasks) resolve_layer(task.tower, diagnostics);
}

TableRows table_rows(const Config& config, int64_t vocabulary_rows) {
  TableRows rows;
  for (const Table& table : config.tables) rows[table.name] = table.rows > 0 ? table.rows : vocabulary_rows;
  for (const Feature& feature : config.features)
    if (feature.type == FeatureType::bucket) rows[feature.table] = static_cast<int64_t>(feature.boundaries.size()) + 2;
  return rows;
}

void check_model(Config& config, Diagnostics& diagnostics) {
  resolve_layers(config, diagnostics);
  // Without tasks there is nothing to build; what is not sound the model leaves out, and with it what reads it.
  if (config.tasks.empty()) return;
  const TableRows rows = table_rows(config, 2);
  build_model(config, rows, ModelUse::training, diagnostics);
  if (diagnostics.ok()) build_model(config, rows, ModelUse::scoring, diagnostics);
}

Graph build_model(const Config& config, const TableRows& rows, ModelUse use, Diagnostics& diagnostics) {
  return ModelBuilder(config, rows, use, diagnostics).build();
}

}  // namespace mtrank
