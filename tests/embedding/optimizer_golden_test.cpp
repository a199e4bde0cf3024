#include <gtest/gtest.h>

#include <numeric>

#include "framework/core/error.h"
#include "framework/embedding/optimizer.h"
#include "framework/embedding/sparse_update.h"
#include "framework/train/dense_optimizer.h"
#include "tests/support/golden.h"

namespace mtrank {
namespace {

using testing::GoldenCase;
using testing::relative_difference;

constexpr double kTolerance = 1e-6;
constexpr int kSteps = 5, kRows = 6, kDim = 4;

OptimizerSettings settings_of(const GoldenCase& c, OptimizerUse use) {
  OptimizerSettings s(c.text("type"), use);
  s.set("lr", c.number("lr"));
  s.set("weight_decay", c.number("weight_decay"));
  for (const OptimizerParameter& p : s.info().parameters) {
    if (p.name == "lazy" && use == OptimizerUse::tables) s.set("lazy", c.flag("lazy"));
    if (p.name == "nesterov") s.set("nesterov", c.flag("nesterov"));
    if (p.name != "lazy" && p.name != "nesterov") s.set(p.name, c.number(std::string(p.name), p.otherwise));
  }
  return s;
}

std::vector<double> step_of(const GoldenCase& c, const std::string& tensor, int step, size_t size) {
  const auto& all = c.at(tensor).values;
  return {all.begin() + static_cast<int64_t>(step * size), all.begin() + static_cast<int64_t>((step + 1) * size)};
}

std::vector<OptimizerUse> uses_of(const GoldenCase& c) {
  std::vector<OptimizerUse> out;
  const OptimizerInfo* info = find_optimizer(c.text("type"));
  for (const OptimizerUse use : {OptimizerUse::dense, OptimizerUse::tables})
    if (info && serves(info->use, use)) out.push_back(use);
  return out;
}

TEST(OptimizerGolden, EveryOptimizerHasACase) {
  for (const OptimizerInfo& info : optimizer_registry()) {
    bool found = false;
    for (const GoldenCase& c : testing::golden_cases("optimizers")) found |= c.text("type") == info.name;
    EXPECT_TRUE(found) << info.name;
  }
}

TEST(OptimizerGolden, DenseWeights) {
  ThreadPool pool(1);
  int compared = 0;
  for (const GoldenCase& c : testing::golden_cases("optimizers")) {
    const auto uses = uses_of(c);
    if (c.has("ids") || uses.front() != OptimizerUse::dense) continue;
    std::vector<float> w = c.at("start").f32();
    DenseUpdate update(settings_of(c, OptimizerUse::dense), static_cast<int64_t>(w.size()));
    for (int t = 0; t < kSteps; ++t) {
      const auto g = step_of(c, "grad", t, w.size());
      update.apply(pool, w.data(), std::vector<float>(g.begin(), g.end()).data(), 1, t + 1, 1);
      EXPECT_LT(relative_difference({w.begin(), w.end()}, step_of(c, "after", t, w.size())), kTolerance)
          << c.name() << " step " << t + 1;
    }
    ++compared;
  }
  EXPECT_GE(compared, 9);
}

/// Feeds row r's gradient by the sample whose id is r.
TEST(OptimizerGolden, Tables) {
  ThreadPool pool(2);
  int compared = 0;
  for (const GoldenCase& c : testing::golden_cases("optimizers")) {
    if (uses_of(c).back() != OptimizerUse::tables) continue;
    EmbeddingTable table("t", kRows, kDim, settings_of(c, OptimizerUse::tables));
    table.initialize(pool, {}, 1);
    const std::vector<float> start = c.at("start").f32();
    std::copy(start.begin(), start.end(), table.weights());
    SparseUpdate update({&table}, {0}, 4);
    const size_t batch = c.has("ids") ? 3 : kRows;
    for (int t = 0; t < kSteps; ++t) {
      std::vector<int32_t> ids(batch);
      std::iota(ids.begin(), ids.end(), 0);
      if (c.has("ids")) {
        const auto given = step_of(c, "ids", t, batch);
        ids.assign(given.begin(), given.end());
      }
      const auto values = step_of(c, "grad", t, batch * kDim);
      std::vector<float> g(values.begin(), values.end());
      const IdsView view{.ids = ids.data()};
      const View gradient{g.data(), static_cast<int64_t>(batch), kDim, kDim};
      update.prepare(pool, static_cast<int64_t>(batch), {&view, 1});
      update.apply(pool, {&gradient, 1}, 1, t + 1);
      const std::vector<double> got(table.weights(), table.weights() + table.size());
      EXPECT_LT(relative_difference(got, step_of(c, "after", t, start.size())), kTolerance)
          << c.name() << " step " << t + 1;
    }
    ++compared;
  }
  EXPECT_GE(compared, 12);
}

TEST(OptimizerSettings, ErrorsNameTheCandidates) {
  try {
    OptimizerSettings("ftrl", OptimizerUse::dense);
    FAIL();
  } catch (const ConfigError& e) {
    EXPECT_STREQ(e.what(),
                 "there is no optimizer 'ftrl' for dense weights; the optimizers are sgd, adagrad, adam, adamw");
  }
  OptimizerSettings adam("adam", OptimizerUse::dense);
  EXPECT_THROW(adam.set("beta1", 1.0), ConfigError);
  EXPECT_THROW(adam.set("lazy", 1.0), ConfigError);
  EXPECT_THROW(adam.set("momentum", 0.5), ConfigError);
  EXPECT_EQ(adam.get("lazy"), 0);
  EXPECT_EQ(OptimizerSettings("adam", OptimizerUse::tables).get("lazy"), 1);
}

TEST(OptimizerSettings, SlotsExistOnlyWhereTheyAreNeeded) {
  EXPECT_TRUE(needed_slots(OptimizerSettings("sgd", OptimizerUse::tables)).empty());
  EXPECT_EQ(needed_slots(OptimizerSettings("sgd", OptimizerUse::tables, {{"momentum", 0.9}})), std::vector<int>{0});
  EXPECT_EQ(EmbeddingTable::bytes(10, 8, OptimizerSettings("rowwise_adagrad", OptimizerUse::tables)), 4 * (80 + 10));
  EXPECT_EQ(EmbeddingTable::bytes(10, 8, OptimizerSettings("adam", OptimizerUse::tables)), 4 * 240);
}

/// A schedule must not shrink weights that FTRL holds, and a learning rate of 0 must leave them.
TEST(Ftrl, WeightsStayWhereTheyAreWhenTheLearningRateChanges) {
  ThreadPool pool(1);
  EmbeddingTable table("t", 1, kDim, OptimizerSettings("ftrl", OptimizerUse::tables, {{"lr", 0.1}}));
  table.initialize(pool, {WeightInit::Kind::constant, 0.5, 0}, 1);
  SparseUpdate update({&table}, {0}, 1);
  const int32_t id = 0;
  const IdsView ids{.ids = &id};
  float zeros[kDim] = {};
  const View gradient{zeros, 1, kDim, kDim};
  for (const double factor : {1.0, 0.01, 0.0, 0.5}) {
    update.prepare(pool, 1, {&ids, 1});
    update.apply(pool, {&gradient, 1}, factor, 1);
    for (int d = 0; d < kDim; ++d) EXPECT_FLOAT_EQ(table.weights()[d], 0.5f) << factor;
  }
}

}  // namespace
}  // namespace mtrank
