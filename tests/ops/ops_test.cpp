#include <gtest/gtest.h>

#include <cmath>

#include "framework/core/isa.h"
#include "framework/ops/dropout.h"
#include "framework/ops/lookup.h"
#include "framework/ops/product_logit.h"
#include "tests/support/graph_runner.h"

namespace mtrank {
namespace {

using testing::GraphRunner;

/// Dropout of a bound value, in a scope, on its own.
Graph dropout_graph(int64_t cols, double p, bool training, const std::string& scope) {
  Graph graph;
  Builder b(graph, training);
  const ValueId x = b.input("x", cols);
  Builder::Scope in(b, scope);
  graph.outputs.push_back({"y", dropout(b, x, p)});
  graph.forward_nodes = graph.nodes.size();
  return graph;
}

std::vector<float> dropped(double p, uint64_t seed, uint64_t step, uint64_t sample, const std::string& scope) {
  constexpr int64_t rows = 50, cols = 200;
  GraphRunner<float> run(dropout_graph(cols, p, true, scope), rows);
  run.step_info = {seed, step};
  run.first_sample = sample;
  std::fill(run.input("x").begin(), run.input("x").end(), 3.0f);
  run.run();
  return run.read(run.plan().graph.outputs[0].value);
}

TEST(Dropout, KeepsTheShareItShouldAndScalesIt) {
  for (double p : {0.1, 0.5, 0.8}) {
    double kept = 0;
    const std::vector<float> y = dropped(p, 1, 2, 0, "a");
    for (float v : y) {
      EXPECT_TRUE(v == 0 || std::abs(v - 3 / (1 - p)) < 1e-5) << v;
      kept += v != 0;
    }
    const double n = static_cast<double>(y.size());
    EXPECT_NEAR(kept / n, 1 - p, 4 * std::sqrt(p * (1 - p) / n)) << p;
  }
}

TEST(Dropout, DependsOnSeedStepSampleAndNameAlone) {
  const std::vector<float> y = dropped(0.5, 1, 2, 0, "a");
  EXPECT_EQ(dropped(0.5, 1, 2, 0, "a"), y);
  EXPECT_NE(dropped(0.5, 2, 2, 0, "a"), y);
  EXPECT_NE(dropped(0.5, 1, 3, 0, "a"), y);
  EXPECT_NE(dropped(0.5, 1, 2, 0, "b"), y);
  const std::vector<float> later = dropped(0.5, 1, 2, 10, "a");
  EXPECT_TRUE(std::equal(y.begin() + 10 * 200, y.end(), later.begin()));  // row 10 of one is row 0 of the other
}

TEST(Dropout, IsNotThereInScoringNorAtZero) {
  EXPECT_TRUE(dropout_graph(3, 0.5, false, "a").nodes.empty());
  EXPECT_TRUE(dropout_graph(3, 0, true, "a").nodes.empty());
}

TEST(ProductLogit, StaysFiniteAndRightForExtremeLogits) {
  // logit(σ(a) σ(b)): of two large ones -log(e^-a + e^-b), of a very negative one that one alone.
  const double cases[][3] = {{200, 200, 200 - std::log(2.0)},
                             {200, -200, -200},
                             {-200, -200, -400},
                             {1e4, 1e4, 1e4 - std::log(2.0)},
                             {-1e4, 50, -1e4},
                             {0, 0, -std::log(3.0)},
                             {1e4, 0.5, 0.5},
                             {90, 100, 90 - std::log1p(std::exp(-10.0))}};
  for (const auto& [a, b, want] : cases) {
    EXPECT_NEAR(product_logit_of(a, b).value, want, 1e-12 * std::abs(want));
    const auto [value, da, db] = product_logit_of(static_cast<float>(a), static_cast<float>(b));
    EXPECT_NEAR(value, want, 2e-7 * (1 + std::abs(want)));
    EXPECT_TRUE(da >= 0 && da <= 1 && db >= 0 && db <= 1) << a << " " << b << ": " << da << " " << db;
  }
}

TEST(Lookup, BagsHaveTheSameBitsFromEveryIsaAndForAnySplit) {
  constexpr int64_t rows = 6, dim = 37;
  const std::vector<int32_t> ids{3, 3, -1, 0, 6, 2, -1, -1, 5, 3, 1}, offsets{0, 3, 3, 6, 8, 10, 11};
  std::vector<float> weights;
  for (size_t i = 0; i < ids.size(); ++i) weights.push_back(0.3f + 0.17f * static_cast<float>(i));
  for (Pooling pool : {Pooling::sum, Pooling::mean, Pooling::sqrtn}) {
    Graph graph;
    Builder b(graph, false);
    const LookupFeature feature{b.table("t", 7, dim, {}), b.ids("ids"), pool};
    graph.outputs.push_back({"y", lookup(b, std::span(&feature, 1)).front()});
    graph.forward_nodes = graph.nodes.size();
    const auto run_rows = [&](int64_t first, int64_t count) {
      GraphRunner<float> run(graph, count);
      for (size_t i = 0; i < run.table("t").size(); ++i) run.table("t")[i] = std::sin(static_cast<float>(i));
      run.ids("ids") = {ids.data(), offsets.data() + first, weights.data()};
      run.run();
      return run.read(graph.outputs[0].value);
    };
    const Isa before = isa();
    set_isa(Isa::scalar);
    const std::vector<float> whole = run_rows(0, rows);
    set_isa(before);
    EXPECT_EQ(run_rows(0, rows), whole);
    std::vector<float> pieces;
    for (const auto& [first, count] : {std::pair{0, 1}, {1, 2}, {3, 3}})
      for (float v : run_rows(first, count)) pieces.push_back(v);
    EXPECT_EQ(pieces, whole);
  }
}

}  // namespace
}  // namespace mtrank
