#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "framework/core/philox.h"
#include "framework/data/dataset.h"
#include "framework/data/from_config.h"
#include "framework/serving/export.h"
#include "models/model.h"

namespace mtrank {

/// A log with every kind of feature, two labels, and values that are missing, unseen or quoted.
inline std::string tiny_log(int rows, unsigned seed, bool labels = true) {
  std::mt19937 random(seed);
  std::string text = std::string("n,user,items,price,day") + (labels ? ",click,buy" : "") + "\n";
  for (int r = 0; r < rows; ++r) {
    std::string items;
    for (unsigned i = 0, n = random() % 4; i < n; ++i) items += (i ? "|i" : "i") + std::to_string(random() % 20);
    text += std::to_string(r) + (random() % 7 ? ",u" : ",\"u,") + std::to_string(random() % 12);
    text += (text[text.rfind(',') - 1] == 'u' ? "\"," : ",") + items + ",";
    text += (random() % 9 ? std::to_string(random() % 100) + ".25" : "") + "," + std::to_string(random() % 40);
    const unsigned click = random() % 2, buy = random() % 3;
    if (labels) text += "," + std::to_string(click) + "," + (buy == 2 ? "" : std::to_string(buy));
    text += "\n";
  }
  return text;
}

/// Parts of the model's config that tests replace.
struct TinyParts {
  std::string labels = "{click: {}, buy: {}}";
  std::string model =
      "{cross: {type: dcn_v2, from: features, layers: 2}, experts: {type: mmoe, from: cross, experts: 2, hidden: [6]}}";
  std::string tasks = "{click: {}, buy: {only_when: click == 1}}";
  std::string outputs = "{p_click: click, p_buy: {expr: click * buy, label: buy}}";
};

/// A model of such logs, with every kind of feature and table: its data is `data`, the rest of the config `more`.
inline std::string tiny_config(const std::string& data, const std::string& more, const TinyParts& parts = {}) {
  return "version: 1\ndata: {" + data + ", cache: none}\nlabels: " + parts.labels + R"(
defaults: {table: {dim: 4}}
tables: {item: {vocab_from: [items], min_count: 2}, user: {ids: hash, rows: 50}}
features:
  user: {type: id, table: user}
  items: {type: ids, table: item, max_len: 3}
  price: {type: dense, transform: log1p, normalize: zscore}
  day: {type: bucket, boundaries: [7, 30]}
model: )" +
         parts.model + "\ntasks: " + parts.tasks + "\noutputs: " + parts.outputs + "\n" + more + "\n";
}

/// A model of such logs with random weights: all that an export needs, without training.
class TinyModel {
 public:
  explicit TinyModel(const std::string& train_file, const std::string& eval = "{metrics: [auc, logloss]}",
                     const TinyParts& parts = {}) {
    Diagnostics diagnostics;
    config = load_config_text(tiny_config("train: \"" + train_file + "\"", "eval: " + eval, parts), "tiny.yaml", {},
                              diagnostics);
    resolve_layers(config, diagnostics);
    diagnostics.throw_if_errors();
    data = std::make_unique<Dataset>(dataset_spec(config), 1);
    TableRows rows;
    for (const TableInfo& table : data->schema().tables) rows[table.name] = table.rows;
    graph = build_model(config, rows, ModelUse::scoring, diagnostics);
    diagnostics.throw_if_errors();
    for (const ParamWeight& param : graph.params) add_weight(graph.value(param.value), param.shape);
    for (const TableWeight& table : graph.tables) {
      const Value& value = graph.value(table.value);
      add_weight(value, {value.rows, value.cols});
    }
  }

  Bundle bundle(size_t golden = 5) const {
    const ReadOptions read = read_options(config);
    Bundle bundle = make_bundle({config, graph, data->transforms(), read, weights, data->fingerprint(Part::train)});
    add_golden_rows(bundle, first_rows(config.data.train, read, data->transforms(), golden));
    return bundle;
  }

  Config config;
  std::unique_ptr<Dataset> data;
  Graph graph;
  std::vector<TensorSource> weights;

 private:
  void add_weight(const Value& value, std::vector<int64_t> shape) {
    const Philox random(3, "test", value.name);
    auto& memory = *memory_.emplace_back(std::make_unique<std::vector<float>>(value.rows * value.cols));
    for (size_t i = 0; i < memory.size(); ++i) memory[i] = 0.5f * static_cast<float>(normal01(random(0, i)));
    weights.push_back({value.name, DType::f32, std::move(shape), memory.data()});
  }
  std::vector<std::unique_ptr<std::vector<float>>> memory_;
};

}  // namespace mtrank
