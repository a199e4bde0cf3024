#include "framework/serving/export.h"

#include <nlohmann/json.hpp>

#include "framework/core/error.h"
#include "framework/core/hash.h"
#include "framework/graph/graph_json.h"
#include "framework/serving/scorer.h"
#include "framework/serving/vocabulary_tensors.h"

namespace mtrank {
namespace {

using Json = nlohmann::ordered_json;

std::string tasks_json(const Config& config) {
  Json json = Json::array();
  for (const Task& task : config.tasks) {
    Json one = {{"name", task.name}, {"label", task.label}, {"weight", task.weight}};
    if (task.loss) one["loss"] = task.loss->type;
    if (task.only_when) one["only_when"] = task.only_when->text();
    if (task.trained_as) one["trained_as"] = task.trained_as->text();
    json.push_back(std::move(one));
  }
  return json.dump();
}

std::string outputs_json(const Config& config) {
  Json json = Json::array();
  for (const Output& output : config.outputs) {
    Json one = {{"name", output.name}, {"expr", output.expr.text()}};
    if (output.label) one["label"] = *output.label;
    json.push_back(std::move(one));
  }
  return json.dump();
}

void add_weights(const Graph& graph, const std::vector<TensorSource>& weights, Bundle& bundle) {
  const auto add = [&](ValueId id) {
    for (const TensorSource& weight : weights) {
      if (weight.name != graph.value(id).name) continue;
      bundle.tensors.push_back(weight);
      return;
    }
    MTRANK_ASSERT(!"every weight of the graph is given");
  };
  for (const ParamWeight& param : graph.params) add(param.value);
  for (const TableWeight& table : graph.tables) add(table.value);
}

}  // namespace

Bundle make_bundle(const ExportedModel& model) {
  const Graph graph = forward_only(model.graph);
  const RowEncoder encoder(model.transforms, RowSpec{}, EncodeFor::scoring);
  Bundle bundle;
  bundle.graph = graph_to_json(graph);
  bundle.input = input_to_json(model.read, encoder.columns());
  bundle.features = transforms_to_json(model.transforms);
  bundle.tasks = tasks_json(model.config);
  bundle.outputs = outputs_json(model.config);
  bundle.config = portable_yaml(model.config);
  bundle.provenance =
      Json{{"version", MTRANK_VERSION}, {"seed", model.config.seed}, {"data", hex64(model.data_fingerprint)}}.dump();
  add_weights(graph, model.weights, bundle);
  bundle.memory = add_vocabularies(model.transforms, bundle.tensors);
  return bundle;
}

void add_golden_rows(Bundle& bundle, std::vector<std::vector<std::string>> rows) {
  bundle.golden = {};
  Scorer scorer(bundle);
  GoldenRows golden{scorer.columns(), std::move(rows), scorer.outputs(), {}};
  std::vector<std::string_view> values;
  for (const auto& row : golden.rows) values.insert(values.end(), row.begin(), row.end());
  if (!values.empty()) golden.scores = scorer.score_rows(values);
  bundle.golden = std::move(golden);
}

}  // namespace mtrank
