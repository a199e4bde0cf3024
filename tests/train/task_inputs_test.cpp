#include "framework/train/task_inputs.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "framework/config/build.h"
#include "framework/graph/plan.h"
#include "models/model.h"

namespace mtrank {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

/// Two tasks of one label each, of which the first's is sampled; the second applies where the first is 1.
TEST(TaskInputs, LabelsWeightsAndCorrectionsAreThoseOfTheTask) {
  Diagnostics diagnostics;
  Config config = load_config_text(R"(version: 1
data: {train: train.csv, weight: w, sample: {when: click == 0, keep: 0.5, correct: logit}}
labels: {click: {}, buy: {}}
features: {x: {type: dense}}
model: {deep: {type: mlp, from: features, hidden: [2]}}
tasks: {click: {weight: 3}, buy: {only_when: click == 1}}
outputs: {p: click}
)",
                                   "tiny.yaml", {}, diagnostics);
  resolve_layers(config, diagnostics);
  const Plan plan = make_plan(build_model(config, {}, ModelUse::training, diagnostics), 5);
  ASSERT_TRUE(diagnostics.ok()) << diagnostics.render();
  InputSchema schema;
  schema.labels = {{"click", true, true}, {"buy", true, false}};
  schema.conditions = {config.task("buy")->only_when->source};
  Batch batch;
  batch.rows = 5;
  batch.labels = {{1, 0, 1, 1, 0}, {0, 1, kMissing, 1, kMissing}};
  batch.conditions = {{1, 0, 1, 1, 0}};
  batch.weight = {2, 1, 1, 0.5, 4};
  batch.sampling_weight = {2, 2, 1, 0.5, 8};
  batch.logit_correction = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f};
  TaskInputs tasks(config, plan, schema);
  tasks.prepare(batch);
  std::vector<View> inputs(plan.inputs.size());
  tasks.bind(1, inputs);
  std::map<std::string, std::vector<float>> columns;  // from the second row on
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].data) {
      ASSERT_EQ(inputs[i].rows, 4);
      const auto* from = static_cast<const float*>(inputs[i].data);
      columns[plan.graph.value(plan.inputs[i]).name].assign(from, from + 4);
    }
  const std::map<std::string, std::vector<float>> want = {
      {"click/label", {0, 1, 1, 0}}, {"click/weight", {1, 1, 0.5, 4}}, {"click/correction", {0.2f, 0.3f, 0.4f, 0.5f}},
      {"buy/label", {1, 0, 1, 0}},   {"buy/weight", {0, 0, 0.5, 0}},   {"buy/correction", {0, 0, 0, 0}},
  };
  EXPECT_EQ(columns, want);
  ASSERT_EQ(tasks.size(), 2u);
  EXPECT_DOUBLE_EQ(tasks.scale(0), 3 / 8.5);
  EXPECT_DOUBLE_EQ(tasks.scale(1), 1 / 2.5);
  batch.conditions = {{0, 0, 0, 0, 0}};
  tasks.prepare(batch);
  EXPECT_EQ(tasks.scale(1), 0) << "no row of its own";
  batch.weight.clear(), batch.sampling_weight.clear();
  tasks.prepare(batch);
  EXPECT_DOUBLE_EQ(tasks.scale(0), 3.0 / 5);
}

}  // namespace
}  // namespace mtrank
