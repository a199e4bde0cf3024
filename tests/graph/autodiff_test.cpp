#include "framework/graph/autodiff.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "framework/core/philox.h"
#include "framework/ops/add.h"
#include "framework/ops/cross.h"
#include "framework/ops/linear.h"
#include "framework/ops/lookup.h"
#include "framework/ops/loss.h"
#include "framework/ops/mixture.h"
#include "framework/ops/softmax.h"
#include "tests/support/graph_runner.h"

namespace mtrank {
namespace {

constexpr int64_t kRows = 5;

/// Two features and a dense block through a cross layer, gated experts and two towers; `x0` is read as a whole, by
/// slices, and twice.
Graph small_model() {
  Graph graph;
  Builder b(graph, true);
  const ValueId table = b.table("video", kRows, 3, {});
  const ValueId other = b.table("user", kRows, 4, {});
  const std::vector<LookupFeature> features{{table, b.ids("ids:a"), Pooling::mean},
                                            {other, b.ids("ids:b"), Pooling::sum}};
  const std::vector<ValueId> pooled = lookup(b, features);
  const ValueId x0 = b.concat({pooled[0], b.input("dense", 2), pooled[1]}, "x0");
  ValueId x = x0;
  for (int i = 0; i < 3; ++i) x = cross(b, x0, dense(b, "cross" + std::to_string(i), x, 9), x);
  const ValueId deep = dense(b, "deep", b.concat({pooled[1], pooled[0]}, "both"), 4, "gelu");
  const ValueId h = b.concat({x, deep}, "h");
  const ValueId wide = dense(b, "experts0", h, 6, "tanh");
  const ValueId experts = dense(b, "experts1", wide, 4, "silu", 2);
  const ValueId mixed = mixture(b, softmax(b, dense(b, "gates", h, 4), 2), experts, 2);
  for (int t = 0; t < 2; ++t) {
    const std::string task = t ? "like" : "click";
    const ValueId logit = dense(b, task, b.slice(mixed, t * 4, 4), 1);
    Builder::Scope scope(b, "task" + std::to_string(t));
    const double p[] = {2.0, 0.1};
    loss(b, "bce", p, task, logit, b.input("label", 1), b.input("weight", 1), b.scalar("scale"));
  }
  differentiate(graph);
  return graph;
}

template <class T>
void fill(std::vector<T>& values, const std::string& name) {
  const Philox random(7, "test", name);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(normal01(random(0, i))) * T(0.5);
}

template <class T>
void fill_all(testing::GraphRunner<T>& run, const std::vector<int32_t>& ids, const std::vector<int32_t>& bags) {
  const Graph& g = run.plan().graph;
  for (const ParamWeight& p : g.params) fill(run.param(g.value(p.value).name), g.value(p.value).name);
  for (const TableWeight& t : g.tables) fill(run.table(g.value(t.value).name), g.value(t.value).name);
  fill(run.input("dense"), "dense");
  run.ids("ids:a") = {bags.data(), bags.data() + 8, nullptr};
  run.ids("ids:b") = {ids.data(), nullptr, nullptr};
  for (int t = 0; t < 2; ++t) {
    const std::string task = "task" + std::to_string(t);
    run.input(task + "/label") = {1, 0, 1, 0, 0};
    run.input(task + "/weight") = {1, 2, t ? T(0) : T(1), 1, 0.5};
    run.scalar(task + "/scale") = 0.3 + t;
  }
}

// Ids of feature a by row: {0, 1}, {2}, {}, {3, -1, 3}, {4}, then the offsets.
const std::vector<int32_t> kBags = {0, 1, 2, 3, -1, 3, 4, 0, 0, 2, 3, 3, 6, 7};
const std::vector<int32_t> kIds = {4, 3, 2, 1, 0};

TEST(Autodiff, CrossLayersHandTheirResidualsGradientDownWithoutACopy) {
  Graph graph;
  Builder b(graph, true);
  const ValueId x0 = dense(b, "in", b.input("dense", 6), 6);
  ValueId x = x0;
  for (int i = 0; i < 4; ++i) x = cross(b, x0, dense(b, "cross" + std::to_string(i), x, 6), x);
  const double p[] = {2.0, 0.1};
  loss(b, "bce", p, "click", dense(b, "logit", x, 1), b.input("label", 1), b.input("weight", 1), b.scalar("scale"));
  differentiate(graph);
  int gradients = 0;
  for (const OpNode& node : graph.nodes) {
    gradients += std::string_view(node.op->name) == "cross_gradient";
    EXPECT_STRNE(node.op->name, "copy");
  }
  EXPECT_EQ(gradients, 4);
}

TEST(Autodiff, AGradientThatGoesTwoWaysIsCopiedOnce) {
  Graph graph;
  Builder b(graph, true);
  const ValueId in = b.input("dense", 6);
  const ValueId y = add(b, {dense(b, "left", in, 6), dense(b, "right", in, 6)});
  const double p[] = {2.0, 0.1};
  loss(b, "bce", p, "click", dense(b, "logit", y, 1), b.input("label", 1), b.input("weight", 1), b.scalar("scale"));
  differentiate(graph);
  const auto copies = std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                    [](const OpNode& node) { return std::string_view(node.op->name) == "copy"; });
  EXPECT_EQ(copies, 1);
}

TEST(Autodiff, MatchesFiniteDifferences) {
  testing::GraphRunner<double> run(small_model(), kRows);
  fill_all(run, kIds, kBags);
  run.run();
  const Graph& g = run.plan().graph;
  int checked = 0;
  for (const ParamWeight& p : g.params) {
    const std::string& name = g.value(p.value).name;
    run.run();
    const std::vector<double> gradient = run.param_gradient(name);
    for (size_t i = 0; i < gradient.size(); i += 3, ++checked) {
      double& w = run.param(name)[i];
      const double at = w, h = 1e-5;
      w = at + h;
      const double up = run.run();
      w = at - h;
      const double down = run.run();
      w = at;
      EXPECT_NEAR(gradient[i], (up - down) / (2 * h), 1e-8) << name << "[" << i << "]";
    }
  }
  run.run();
  const std::vector<double> pooled = run.pooled_gradient("ids:b");
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c < 4; ++c) {
      double& w = run.table("user")[static_cast<size_t>(kIds[static_cast<size_t>(r)] * 4 + c)];
      const double at = w, h = 1e-5;
      w = at + h;
      const double up = run.run();
      w = at - h;
      const double down = run.run();
      w = at;
      EXPECT_NEAR(pooled[static_cast<size_t>(r * 4 + c)], (up - down) / (2 * h), 1e-8) << r << "," << c;
    }
  EXPECT_GT(checked, 40);
}

TEST(Autodiff, FloatAgreesWithDouble) {
  testing::GraphRunner<double> exact(small_model(), kRows);
  testing::GraphRunner<float> fast(small_model(), kRows);
  fill_all(exact, kIds, kBags);
  fill_all(fast, kIds, kBags);
  EXPECT_NEAR(exact.run(), fast.run(), 1e-6);
  const Graph& g = exact.plan().graph;
  for (const ParamWeight& p : g.params) {
    const std::string& name = g.value(p.value).name;
    for (size_t i = 0; i < exact.param(name).size(); ++i)
      EXPECT_NEAR(exact.param_gradient(name)[i], fast.param_gradient(name)[i], 2e-6) << name;
  }
}

TEST(Autodiff, EveryDenseGradientHasOneWriter) { EXPECT_TRUE(make_plan(small_model(), 8).single_writers); }

TEST(Autodiff, AWeightThatTwoNodesReadHasTwoWriters) {
  Graph graph;
  Builder b(graph, true);
  const ValueId w = b.param("shared", 6, 6, {});
  const ValueId y = linear(b, linear(b, b.input("dense", 6), w, kNoValue, "none", 1), w, kNoValue, "none", 1);
  const double p[] = {2.0, 0.1};
  loss(b, "bce", p, "click", dense(b, "logit", y, 1), b.input("label", 1), b.input("weight", 1), b.scalar("scale"));
  differentiate(graph);
  EXPECT_FALSE(make_plan(graph, 8).single_writers);
}

TEST(Graph, AConcatIsMadeOnceForEachListOfParts) {
  Graph graph;
  Builder b(graph, true);
  const ValueId x = b.input("x", 2), y = b.input("y", 3), z = b.input("z", 3);
  const ValueId xy = b.concat({x, y}, "xy");
  EXPECT_EQ(b.concat({x, y}, "again"), xy);
  EXPECT_NE(b.concat({x, z}, "xz"), xy);
  EXPECT_NE(b.concat({y, x}, "yx"), xy);
}

TEST(Graph, ForwardOnlyKeepsWhatOutputsNeed) {
  Graph graph = small_model();
  graph.outputs.push_back({"p_click", graph.find("click/linear")});
  const Graph forward = forward_only(graph);
  EXPECT_EQ(forward.params.size(), graph.params.size() - 2);  // without the tower of `like`
  EXPECT_EQ(forward.tables.size(), 2u);
  EXPECT_EQ(forward.find("task0/label"), kNoValue);
  EXPECT_TRUE(forward.losses.empty());
  EXPECT_NE(to_text(forward).find("activation deep/linear [B, 4] = h[:, 9:13]"), std::string::npos) << to_text(forward);
}

}  // namespace
}  // namespace mtrank
