#include "framework/graph/graph_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "framework/core/error.h"
#include "framework/ops/activation.h"
#include "framework/ops/arithmetic.h"
#include "framework/ops/cross.h"
#include "framework/ops/layer_norm.h"
#include "framework/ops/linear.h"
#include "framework/ops/lookup.h"
#include "framework/ops/mixture.h"
#include "framework/ops/sigmoid.h"
#include "framework/ops/softmax.h"
#include "tests/support/graph_runner.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;

Graph example() {
  Graph graph;
  Builder b(graph, false);
  const std::vector<LookupFeature> features{{b.table("embedding/video", 6, 3, {}), b.ids("ids:video"), Pooling::mean}};
  const ValueId x0 = b.concat({lookup(b, features)[0], b.input("dense:age", 2)}, "x0");
  const ValueId x = cross(b, x0, dense(b, "cross", x0, 5), x0);
  const ValueId experts = dense(b, "experts", dense(b, "wide", x, 4, "gelu"), 6, "relu", 2);
  const ValueId mixed = mixture(b, softmax(b, dense(b, "gates", x, 4), 2), experts, 2);
  for (int t = 0; t < 2; ++t) {
    const std::string task = t ? "like" : "click";
    graph.outputs.push_back({task, sigmoid(b, dense(b, task, b.slice(mixed, t * 3, 3), 1), task)});
  }
  graph.forward_nodes = graph.nodes.size();
  return forward_only(graph);
}

std::vector<float> scores_of(const Graph& graph) {
  testing::GraphRunner<float> run(graph, 4);
  for (const ParamWeight& p : graph.params) {
    std::vector<float>& weights = run.param(graph.value(p.value).name);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = 0.01f * static_cast<float>((i * 7) % 31) - 0.1f;
  }
  std::vector<float>& table = run.table("embedding/video");
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i) * 0.1f;
  run.input("dense:age") = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<int32_t> ids = {0, 5, 3, 3};
  run.ids("ids:video") = {ids.data(), nullptr, nullptr};
  run.run(true);
  std::vector<float> scores = run.read(graph.outputs[0].value);
  const std::vector<float> more = run.read(graph.outputs[1].value);
  scores.insert(scores.end(), more.begin(), more.end());
  return scores;
}

std::string refusal(const std::string& json) {
  try {
    graph_from_json(json);
  } catch (const FileError& e) {
    return e.what();
  }
  return "accepted";
}

/// Of `good` with the first `from` replaced.
std::string refusal_of(std::string good, const std::string& from, const std::string& to) {
  const size_t at = good.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return refusal(good.replace(at, from.size(), to));
}

TEST(GraphJson, TheSameGraphComesBack) {
  const Graph graph = example();
  const std::string json = graph_to_json(graph);
  const Graph back = graph_from_json(json);
  EXPECT_EQ(to_text(back), to_text(graph));
  EXPECT_EQ(graph_to_json(back), json);
  const std::vector<float> scores = scores_of(graph);
  EXPECT_EQ(scores_of(back), scores);
  EXPECT_NE(scores[0], scores[1]) << "the example must tell rows apart";
}

TEST(GraphJson, RefusalsNameWhatIsWrong) {
  const std::string good = graph_to_json(example());
  const auto edited = [&](const std::string& from, const std::string& to) { return refusal_of(good, from, to); };
  EXPECT_THAT(edited("{", "["), HasSubstr("graph: not JSON"));
  EXPECT_THAT(edited("\"op\":\"cross\"", "\"op\":\"crass\""),
              HasSubstr("uses the op 'crass', which this mtrank does not have"));
  EXPECT_THAT(edited("\"kind\":\"param\"", "\"kind\":\"loss\""), HasSubstr("has the kind 'loss'"));
  EXPECT_THAT(edited("\"kind\":\"param\"", "\"kind\":7"), HasSubstr("has a 'kind' that is no text"));
  EXPECT_THAT(edited("\"cols\":3", "\"cols\":0"), HasSubstr("has a 'cols' that is no number from 1 to"));
  EXPECT_THAT(edited("\"in\":[", "\"in\":[9999,"), HasSubstr("node 0 has a 'in' that is no number from -1 to"));
  EXPECT_THAT(edited("\"nodes\"", "\"nods\""), HasSubstr("the whole has no 'nodes'"));
  EXPECT_THAT(edited("\"outputs\":[", "\"outputs\":[{\"name\":\"x\",\"value\":0},"),
              HasSubstr("output 0 lists a value of another kind"));
  EXPECT_THAT(edited("\"params\":[{", "\"params\":[{\"value\":1,\"shape\":[2]},{"), HasSubstr("param 0"));
}

// Kernels read what their inputs are taken for, without another look.
TEST(GraphJson, WhatAnOpCannotTakeIsRefused) {
  const auto good = nlohmann::json::parse(graph_to_json(example()));
  const auto value = [&](const std::string& kind) {
    size_t i = 0;
    while (good["values"][i]["kind"] != kind) ++i;
    return i;
  };
  const auto edited = [&](const std::string& op, auto&& edit) -> std::string {
    nlohmann::json bad = good;
    for (auto& node : bad["nodes"]) {
      if (node["op"] != op) continue;
      edit(node);
      break;
    }
    EXPECT_NE(bad, good) << op;
    return refusal(bad.dump());
  };
  const auto with_input = [&](const std::string& op, size_t i, int id) {
    return edited(op, [&](auto& node) { node["in"][i] = id; });
  };
  const auto with = [&](const std::string& op, const char* attribute, const nlohmann::json& value) {
    return edited(op, [&](auto& node) { node["attributes"][attribute] = value; });
  };
  EXPECT_THAT(edited("sigmoid", [](auto& node) { node["in"] = {}; }), HasSubstr("has a 'in' that is no list"));
  EXPECT_THAT(edited("sigmoid", [](auto& node) { node["in"] = nlohmann::json::array(); }),
              HasSubstr("has 0 inputs, expected 1"));
  EXPECT_THAT(edited("lookup", [](auto& node) { node["in"].erase(1); }),
              HasSubstr("has 1 inputs, expected 2, or that many times over"));
  EXPECT_THAT(edited("linear", [](auto& node) { node["in"].push_back(-1); }), HasSubstr("has 4 inputs, expected 3"));
  EXPECT_THAT(edited("sigmoid", [](auto& node) { node["op"] = "sigmoid_gradient"; }), HasSubstr("does not have"));
  EXPECT_THAT(edited("sigmoid", [](auto& node) { node["op"] = "zero"; }),
              HasSubstr("'zero', which no forward graph has"));
  EXPECT_THAT(with_input("cross", 1, -1), HasSubstr("has the input 1, which its op cannot take"));
  EXPECT_THAT(with_input("cross", 1, static_cast<int>(value("param"))), HasSubstr("input 1, which its op cannot take"));
  EXPECT_THAT(with_input("cross", 1, static_cast<int>(value("ids"))), HasSubstr("input 1, which its op cannot take"));
  EXPECT_THAT(with_input("linear", 1, static_cast<int>(value("table"))),
              HasSubstr("input 1, which its op cannot take"));
  EXPECT_THAT(with_input("lookup", 0, static_cast<int>(value("param"))),
              HasSubstr("input 0, which its op cannot take"));
  EXPECT_THAT(edited("cross", [](auto& node) { node["out"][0] = -1; }), HasSubstr("lacks its first output"));
  EXPECT_THAT(with("linear", "groups", (int64_t{1} << 62) + 1), HasSubstr("cannot be cut into 4611686018427387905"));
  EXPECT_THAT(with("linear", "groups", "2"), HasSubstr("has an attribute of the wrong type"));
  EXPECT_THAT(with("linear", "activation", "gulp"), HasSubstr("activation 'gulp' is not one of"));
  EXPECT_THAT(with("lookup", "pool", nlohmann::json::array()), HasSubstr("a lookup of 1 features pools 0"));
  EXPECT_THAT(with("lookup", "pool", {7}), HasSubstr("pools by 7"));
}

TEST(GraphJson, AttributesThatNoKernelKnowsAreRefused) {
  Graph graph;
  Builder b(graph, false);
  const ValueId x = layer_norm(b, "norm", b.input("dense:age", 4), 1);
  const ValueId y = activate(b, affine(b, arithmetic(b, '*', x, x), 0.5, 1), "gelu");
  graph.outputs.push_back({"click", y});
  graph.forward_nodes = graph.nodes.size();
  const std::string good = graph_to_json(graph);
  EXPECT_EQ(to_text(graph_from_json(good)), to_text(graph));
  const auto edited = [&](const std::string& from, const std::string& to) { return refusal_of(good, from, to); };
  EXPECT_THAT(edited("\"op\":\"*\"", "\"op\":\"\""), HasSubstr("arithmetic by '', which is none of + - * /"));
  EXPECT_THAT(edited("\"op\":\"*\"", "\"op\":\"**\""), HasSubstr("arithmetic by '**'"));
  EXPECT_THAT(edited("\"activation\":\"gelu\"", "\"activation\":\"gulp\""), HasSubstr("activation 'gulp'"));
  EXPECT_THAT(edited("\"scale\":0.5", "\"scale\":1"), HasSubstr("has an attribute of the wrong type"));
  EXPECT_THAT(edited("\"epsilon\":", "\"epsilon\":-"), HasSubstr("its epsilon is not a number from 0"));
}

// Whatever is done to the text, it is a sound graph or refused.
TEST(GraphJson, SeededDamageNeverCrashes) {
  const std::string good = graph_to_json(example());
  std::mt19937 random(11);
  int accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bad = good;
    for (unsigned edits = 1 + random() % 2; edits > 0; --edits) {
      const size_t at = random() % bad.size();
      if (random() % 4 == 0) {
        bad.erase(at, random() % 12);
      } else {
        bad[at] = "0123456789{}[],:\"-."[random() % 19];
      }
    }
    try {
      const Graph graph = graph_from_json(bad);
      EXPECT_NO_THROW(make_plan(graph, 8)) << bad;
      ++accepted;
    } catch (const FileError&) {
    }
  }
  EXPECT_GT(accepted, 20);
}

}  // namespace
}  // namespace mtrank
