#include "models/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "framework/core/philox.h"
#include "tests/support/graph_runner.h"

namespace mtrank {
namespace {

using testing::GraphRunner;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kRows = 6;

const std::string kData = R"(
version: 1
name: esmm
data:
  train: train.csv
  sample: {when: click == 0, keep: 0.5, correct: logit}
labels: {click: {}, checkout: {}, spend: {type: regression}}
defaults:
  table: {ids: int, rows: 6, dim: 3}
features:
  user: {type: id}
  item: {type: id}
  nums: {type: dense, columns: [price, age]}
)";
const std::string kModel = R"(
model:
  cross:   {type: dcn_v2, from: features, layers: 2}
  deep:    {type: mlp, from: [nums, user], hidden: [5], layer_norm: true}
  experts: {type: mmoe, from: [cross, deep], experts: 2, hidden: [4, 3], activation: tanh}
tasks:
  click: {tower: {from: experts, hidden: [3]}}
  checkout: {trained_as: click * checkout, tower: {from: experts, hidden: [3]}}
  spend: {weight: 0.5, loss: huber, tower: {from: deep, hidden: [2]}}
outputs:
  p_click: click
  p_buy: click * checkout
  value: {expr: click * checkout * spend}
)";

/// The graph of a config; what is wrong with it goes to `report`.
Graph build(const std::string& text, ModelUse use, std::string* report = nullptr) {
  Diagnostics diagnostics;
  Config config = load_config_text(text, "model.yaml", {}, diagnostics);
  resolve_layers(config, diagnostics);
  Graph graph;
  if (diagnostics.ok()) graph = build_model(config, {{"user", kRows}, {"item", kRows}}, use, diagnostics);
  if (report)
    *report = diagnostics.render();
  else
    EXPECT_TRUE(diagnostics.ok()) << diagnostics.render();
  return graph;
}

const std::vector<int32_t> kIds = {5, 3, 1, 0, 2, 4};

template <class T>
void fill(GraphRunner<T>& run) {
  const Graph& g = run.plan().graph;
  const auto numbers = [](std::vector<T>& to, const std::string& name) {
    for (size_t i = 0; i < to.size(); ++i)
      to[i] = static_cast<T>(static_cast<float>(0.7 * normal01(Philox(3, "test", name)(0, i))));
  };
  for (const ParamWeight& p : g.params) numbers(run.param(g.value(p.value).name), g.value(p.value).name);
  for (const TableWeight& t : g.tables) numbers(run.table(g.value(t.value).name), g.value(t.value).name);
  for (ValueId id : run.plan().ids) run.ids(g.value(id).name) = {kIds.data(), nullptr, nullptr};
  for (ValueId id : run.plan().inputs) {
    const std::string& name = g.value(id).name;
    numbers(run.input(name), name);
    if (name.find("/weight") != std::string::npos) run.input(name) = {1, 2, 0, 1, 0.5, 1};
    if (name.find("k/label") != std::string::npos || name.find("t/label") != std::string::npos)
      run.input(name) = {1, 0, 1, 1, 0, 0};
  }
  for (ValueId id : run.plan().scalars) run.scalar(g.value(id).name) = 0.4;
}

TEST(Model, GradientsOfEveryPartMatchFiniteDifferences) {
  GraphRunner<double> run(build(kData + kModel, ModelUse::training), kRows);
  fill(run);
  run.run();
  const Graph& g = run.plan().graph;
  std::map<std::string, std::vector<double>> gradients;
  for (const ParamWeight& p : g.params) gradients[g.value(p.value).name] = run.param_gradient(g.value(p.value).name);
  for (const auto& [name, gradient] : gradients)
    for (size_t i = 0; i < gradient.size(); i += 2) {
      double& w = run.param(name)[i];
      const double at = w;
      w = at + 1e-5;
      const double up = run.run(true);
      w = at - 1e-5;
      const double down = run.run(true);
      w = at;
      EXPECT_NEAR(gradient[i], (up - down) / 2e-5, 2e-8 * (1 + std::abs(gradient[i]))) << name << "[" << i << "]";
    }
}

/// The loss of a task trained as a product is the cross-entropy of the product of the predictions.
TEST(Model, ATaskTrainedAsAProductHasTheLossOfTheProduct) {
  std::string text = kData + kModel;
  text.erase(text.find("  sample:"), text.find("labels:") - text.find("  sample:"));
  GraphRunner<double> training(build(text, ModelUse::training), kRows), scoring(build(text, ModelUse::scoring), kRows);
  fill(training);
  fill(scoring);
  training.scalar("click/scale") = training.scalar("spend/scale") = 0;
  training.scalar("checkout/scale") = 1;
  const double loss = training.run(true);
  scoring.run();
  const Graph& g = scoring.plan().graph;
  const auto output = [&](const std::string& name) {
    for (const NamedValue& out : g.outputs)
      if (out.name == name) return scoring.read(out.value);
    ADD_FAILURE() << name;
    return std::vector<double>(kRows);
  };
  const std::vector<double> p = output("p_buy"), click = output("task:click"), checkout = output("task:checkout"),
                            spend = output("task:spend"), value = output("value");
  const auto &y = training.input("checkout/label"), &w = training.input("checkout/weight");
  double want = 0;
  for (size_t r = 0; r < kRows; ++r) {
    want -= w[r] * (y[r] > 0 ? std::log(p[r]) : std::log1p(-p[r]));
    EXPECT_NEAR(checkout[r], p[r], 1e-15) << "a task is measured on what it is trained as";
    EXPECT_LT(p[r], click[r]);
    EXPECT_NEAR(value[r], p[r] * spend[r], 1e-15);
  }
  EXPECT_NEAR(loss, want, 1e-12);
}

TEST(Model, TheCorrectionShiftsTheLogitInTrainingOnly) {
  GraphRunner<double> run(build(kData + kModel, ModelUse::training), kRows);
  fill(run);
  std::fill(run.input("click/correction").begin(), run.input("click/correction").end(), 0.0);
  const double before = run.run(true);
  std::fill(run.input("click/correction").begin(), run.input("click/correction").end(), 0.6);
  EXPECT_GT(std::abs(run.run(true) - before), 1e-3);
  EXPECT_EQ(build(kData + kModel, ModelUse::scoring).find("click/correction"), kNoValue);
  EXPECT_EQ(run.plan().graph.find("spend/correction"), kNoValue) << "a number has no odds";
}

/// Of a table of 6 rows and 3 columns.
TEST(Model, TablesStartAsTheirInitSays) {
  using Kind = WeightInit::Kind;
  const std::vector<std::pair<const char*, WeightInit>> inits = {
      {"zeros", {Kind::zeros, 0, 0}},
      {"constant(0.5)", {Kind::constant, 0.5, 0}},
      {"normal(0.02)", {Kind::normal, 0.02, 0}},
      {"'uniform(-0.1, 0.3)'", {Kind::uniform, -0.1, 0.3}},
      {"fan_in", {Kind::uniform, -1 / std::sqrt(6), 1 / std::sqrt(6)}},
      {"glorot", {Kind::uniform, -std::sqrt(6.0 / 9), std::sqrt(6.0 / 9)}},
      {"he", {Kind::normal, std::sqrt(2.0 / 6), 0}},
  };
  for (const auto& [text, want] : inits) {
    SCOPED_TRACE(text);
    std::string config = kData + kModel;
    config.replace(config.find("dim: 3"), 6, "dim: 3, init: " + std::string(text));
    const Graph graph = build(config, ModelUse::training);
    ASSERT_EQ(graph.tables.size(), 2u);
    for (const TableWeight& table : graph.tables) {
      EXPECT_EQ(table.init.kind, want.kind);
      EXPECT_DOUBLE_EQ(table.init.a, want.a);
      EXPECT_DOUBLE_EQ(table.init.b, want.b);
    }
  }
}

/// As torch.nn.Linear's: uniform in 1/sqrt(inputs), of a group's where there are several.
TEST(Model, LayersStartWithinTheirFanIn) {
  const Graph graph = build(kData + kModel, ModelUse::training);
  int weights = 0;
  for (const ParamWeight& p : graph.params) {
    const std::string& name = graph.value(p.value).name;
    if (!name.ends_with("/weight")) continue;
    const double bound = 1 / std::sqrt(static_cast<double>(p.shape[p.shape.size() - 2]));
    const ValueId bias = graph.find(name.substr(0, name.size() - 6) + "bias");
    for (const ParamWeight& q : graph.params) {
      if (q.value != p.value && q.value != bias) continue;
      EXPECT_EQ(q.init.kind, WeightInit::Kind::uniform) << name;
      EXPECT_DOUBLE_EQ(q.init.a, -bound) << name;
      EXPECT_DOUBLE_EQ(q.init.b, bound) << name;
    }
    ++weights;
  }
  EXPECT_GE(weights, 10);
}

TEST(Model, TheScoringGraphGivesTheBitsOfTraining) {
  Graph graph = build(kData + kModel, ModelUse::training);
  const ValueId logit = graph.find("click/logit/linear");
  ASSERT_NE(logit, kNoValue) << to_text(graph);
  graph.outputs.push_back({"logit", logit});
  Graph served = build(kData + kModel, ModelUse::scoring);
  served.outputs.push_back({"logit", served.find("click/logit/linear")});
  const ValueId number = served.find("spend/logit/linear");
  served.outputs.push_back({"number", number});
  GraphRunner<float> training(graph, kRows), scoring(served, kRows);
  fill(training);
  fill(scoring);
  training.run(true);
  scoring.run();
  EXPECT_EQ(training.read(logit), scoring.read(served.find("click/logit/linear")));
  for (const NamedValue& output : served.outputs)
    if (output.name == "task:spend") {
      EXPECT_EQ(scoring.read(output.value), scoring.read(number)) << "a number is no probability";
    }
}

TEST(Model, ShapesThatDoNotFitAreReportedWhereTheyAreWritten) {
  std::string report;
  build(kData + R"(
model:
  sum:  {type: add, from: [user, nums]}
  deep: {type: mlp, from: user, hidden: [4], activation: rellu}
  low:  {type: dcn_v2, from: user, experts: 3}
tasks:
  click: {tower: {from: sum, hidden: [3]}}
)",
        ModelUse::training, &report);
  EXPECT_THAT(report, HasSubstr("rellu"));
  EXPECT_THAT(report, HasSubstr("several experts need a `rank`"));
  build(kData + R"(
model:
  sum: {type: add, from: [user, nums]}
  two: {type: mmoe, from: [user, item], hidden: [4]}
  bad: {type: mlp, from: two, hidden: [4]}
tasks:
  click: {tower: {from: [sum, bad], hidden: [3]}}
  checkout: {tower: {from: two, hidden: [3]}}
  spend: {tower: {from: two, hidden: [3]}}
)",
        ModelUse::training, &report);
  EXPECT_THAT(report, HasSubstr("`sum`: add needs inputs of one width, found 3 and 2 columns"));
  EXPECT_THAT(report, HasSubstr("`two` hands on one value a task"));
  build(kData + "model: {sum: {from: user}}\ntasks: {click: {tower: {from: sum}}}\n", ModelUse::training, &report);
  EXPECT_THAT(report, HasSubstr("layer `sum` has no `type`"));
  EXPECT_THAT(report, Not(HasSubstr("no layer type")));
}

}  // namespace
}  // namespace mtrank
