#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "framework/core/error.h"
#include "framework/core/isa.h"
#include "framework/ops/add.h"
#include "framework/ops/cross.h"
#include "framework/ops/dropout.h"
#include "framework/ops/gate.h"
#include "framework/ops/layer_norm.h"
#include "framework/ops/linear.h"
#include "framework/ops/lookup.h"
#include "framework/ops/mixture.h"
#include "framework/ops/mul.h"
#include "framework/ops/product_logit.h"
#include "framework/ops/softmax.h"
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
      EXPECT_TRUE(v == 0 || std::abs(v - 3 / (1 - p)) < 1e-4 * v) << v;
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

TEST(Lookup, AMeanIsZeroWhereWeightsDoNotAddUpToMoreThanZero) {
  const std::vector<int32_t> ids{0, 1, 0, 1, 0, 1, 0, 1}, offsets{0, 2, 4, 6, 8};
  const std::vector<float> weights{1, -1, -2, 1, 0, 0, 2, -1};
  const std::map<Pooling, std::vector<double>> wanted = {
      {Pooling::sum, {-4, 1, 0, -1}},
      {Pooling::mean, {0, 0, 0, -1}},
      {Pooling::sqrtn, {-4 / std::sqrt(2), 1 / std::sqrt(5), 0, -1 / std::sqrt(5)}},
  };
  for (const auto& [pool, want] : wanted) {
    Graph graph;
    Builder b(graph, false);
    const LookupFeature feature{b.table("t", 2, 1, {}), b.ids("ids"), pool};
    graph.outputs.push_back({"y", lookup(b, std::span(&feature, 1)).front()});
    graph.forward_nodes = graph.nodes.size();
    GraphRunner<double> run(graph, 4);
    run.table("t") = {3, 7};
    run.ids("ids") = {ids.data(), offsets.data(), weights.data()};
    run.run();
    const std::vector<double> got = run.read(graph.outputs[0].value);
    for (size_t r = 0; r < want.size(); ++r) EXPECT_NEAR(got[r], want[r], 1e-12) << static_cast<int>(pool) << " " << r;
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

/// What an op says about inputs that do not fit.
std::string refusal(const std::function<void(Builder&)>& build) {
  Graph graph;
  Builder b(graph, true);
  try {
    build(b);
  } catch (const ShapeError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Ops, RefuseShapesThatDoNotFit) {
  const auto in = [](Builder& b, int64_t cols) { return b.input("x" + std::to_string(cols), cols); };
  EXPECT_EQ(refusal([&](Builder& b) {
              add(b, {in(b, 4), in(b, 5)});
            }),
            "add needs inputs of one width, found 4 and 5 columns");
  EXPECT_EQ(refusal([&](Builder& b) {
              mul(b, {in(b, 4), in(b, 5)});
            }),
            "mul needs inputs of one width, found 4 and 5 columns");
  EXPECT_EQ(refusal([&](Builder& b) { cross(b, in(b, 4), in(b, 4), in(b, 3)); }),
            "cross needs inputs of one width, found 4 and 3 columns");
  EXPECT_EQ(refusal([&](Builder& b) { gate(b, in(b, 3), in(b, 7)); }), "3 gates do not divide 7 columns");
  EXPECT_EQ(refusal([&](Builder& b) { layer_norm(b, "n", in(b, 7), 2); }), "7 columns cannot be cut into 2 groups");
  EXPECT_EQ(refusal([&](Builder& b) { layer_norm(b, in(b, 7), in(b, 7), in(b, 6)); }),
            "layer_norm: weights of 6 columns do not fit an input of 7");
  EXPECT_EQ(refusal([&](Builder& b) { softmax(b, in(b, 7), 3); }),
            "a softmax over groups of 3 does not divide 7 columns");
  EXPECT_EQ(refusal([&](Builder& b) { mixture(b, in(b, 6), in(b, 7), 3); }),
            "a mixture of 3 experts does not divide gates of 6 and experts of 7 columns");
  EXPECT_EQ(refusal([&](Builder& b) { dense(b, "d", in(b, 7), 4, "none", 2); }),
            "7 columns cannot be cut into 2 groups");
  EXPECT_EQ(refusal([&](Builder& b) { dense(b, "d", in(b, 7), 4, "none", 0); }),
            "7 columns cannot be cut into 0 groups");
  EXPECT_EQ(refusal([&](Builder& b) { layer_norm(b, "n", in(b, 7), 0); }), "7 columns cannot be cut into 0 groups");
  EXPECT_EQ(
      refusal([&](Builder& b) { linear(b, in(b, 6), b.param("w", 6, 2, {}), b.param("b", 1, 2, {}), "none", 3); }),
      "a bias of 2 does not fit 6 outputs");
  EXPECT_EQ(refusal([&](Builder& b) { dense(b, "d", in(b, 7), 4, "rellu"); }),
            "activation 'rellu' is not one of relu, gelu, silu, tanh, sigmoid, none");
  EXPECT_EQ(refusal([&](Builder& b) { linear(b, in(b, 7), b.param("w", 6, 2, {}), kNoValue); }),
            "an input of 7 columns does not fit weights of 6 rows");
  EXPECT_NE(refusal([&](Builder& b) { dropout(b, in(b, 7), 1); }).find("is not in [0, 1)"), std::string::npos);
}

}  // namespace
}  // namespace mtrank
