#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

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

/// Weights of a row after each of some gradients, by an optimiser's formula in double. Of Adam's betas 0.5 and 0.75.
struct WithEps {
  std::string name;
  bool lazy;
  double eps, lr, decay;

  std::vector<double> after(const std::vector<std::vector<double>>& gradients) const {
    std::vector<double> w(kDim, 1.0), first(kDim), second(kDim);
    for (size_t t = 1; t <= gradients.size(); ++t) {
      double mean = 0;
      for (const double g : gradients[t - 1]) mean += g * g / kDim;
      const double bias1 = 1 - std::pow(0.5, t), bias2 = 1 - std::pow(0.75, t);
      for (size_t d = 0; d < kDim; ++d) {
        const double g = gradients[t - 1][d];
        if (name.ends_with("adagrad")) {
          second[d] += name == "adagrad" ? g * g : mean;
          w[d] -= lr * g / (std::sqrt(second[d]) + eps);
          continue;
        }
        first[d] = 0.5 * first[d] + 0.5 * g;
        second[d] = 0.75 * second[d] + 0.25 * g * g;
        if (name == "adamw") w[d] -= lr * decay * w[d];
        const double root = lazy ? (std::sqrt(second[d]) + eps) / std::sqrt(bias2) : std::sqrt(second[d] / bias2) + eps;
        w[d] -= lr * first[d] / bias1 / root;
      }
    }
    return w;
  }
};

/// The goldens' eps is too small to be seen, and they know no schedule.
TEST(OptimizerFormula, HasItsEpsAndFollowsTheSchedule) {
  ThreadPool pool(1);
  const std::vector<std::vector<double>> gradients = {{0.5, -1, 2, 0.25}, {-0.25, 0.75, 1, 1.5}, {1, 1, -2, 0.5}};
  for (const OptimizerInfo& info : optimizer_registry()) {
    const auto& parameters = info.parameters;
    const auto has = [&](const char* name) {
      return std::any_of(parameters.begin(), parameters.end(),
                         [&](const OptimizerParameter& p) { return p.name == name; });
    };
    if (!has("eps")) continue;
    for (const OptimizerUse use : {OptimizerUse::dense, OptimizerUse::tables})
      for (const bool lazy : {false, true}) {
        if (!serves(info.use, use) || (lazy && (use == OptimizerUse::dense || !has("lazy")))) continue;
        const WithEps formula{std::string(info.name), lazy, 0.5, 0.1, info.name == "adamw" ? 0.2 : 0.0};
        OptimizerSettings s(info.name, use,
                            {{"lr", 2 * formula.lr}, {"eps", formula.eps}});  // half of it, by a schedule
        s.weight_decay = formula.decay;
        if (has("beta1")) s.set("beta1", 0.5), s.set("beta2", 0.75);
        if (has("lazy") && use == OptimizerUse::tables) s.set("lazy", lazy);
        std::vector<float> w(kDim, 1.0f);
        EmbeddingTable table("t", 1, kDim,
                             use == OptimizerUse::tables ? s : OptimizerSettings("sgd", OptimizerUse::tables));
        table.initialize(pool, {WeightInit::Kind::constant, 1, 0}, 1);
        std::optional<DenseUpdate> dense;
        if (use == OptimizerUse::dense) dense.emplace(s, kDim);
        SparseUpdate sparse({&table}, {0}, 1);
        const int32_t id = 0;
        const IdsView ids{.ids = &id};
        for (size_t t = 0; t < gradients.size(); ++t) {
          std::vector<float> g(gradients[t].begin(), gradients[t].end());
          const auto step = static_cast<int64_t>(t) + 1;
          if (dense) {
            dense->apply(pool, w.data(), g.data(), 0.5, step, 1);
            continue;
          }
          const View gradient{g.data(), 1, kDim, kDim};
          sparse.prepare(pool, 1, {&ids, 1});
          sparse.apply(pool, {&gradient, 1}, 0.5, step);
        }
        const float* got = dense ? w.data() : table.weights();
        const std::vector<double> want = formula.after(gradients);
        for (int d = 0; d < kDim; ++d)
          EXPECT_NEAR(got[d], want[static_cast<size_t>(d)], 1e-6) << info.name << (lazy ? " lazy " : " ") << d;
      }
  }
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
