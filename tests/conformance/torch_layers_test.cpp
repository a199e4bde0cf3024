#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "framework/ops/lookup.h"
#include "models/layer.h"
#include "tests/support/golden.h"
#include "tests/support/graph_runner.h"
#include "tests/support/named_blocks.h"
#include "tests/support/weighted_sum.h"

/// Layers against what PyTorch computed for the same numbers, built from their YAML settings.
namespace mtrank {
namespace {

using testing::Block;
using testing::golden_case;
using testing::golden_cases;
using testing::GoldenCase;
using testing::GraphRunner;
using testing::relative_difference;

std::vector<std::string> split(const std::string& name) {
  std::istringstream in(name);
  std::vector<std::string> parts;
  for (std::string part; std::getline(in, part, '.');) parts.push_back(part);
  return parts;
}

/// Where the weights of a case lie in the layer's: tests/golden/README.md names one side, models/ the other.
std::vector<Block> blocks_of(const GoldenCase& c) {
  std::vector<Block> blocks;
  const std::vector<std::string> tasks =
      c.text("layer").find("mmoe") != std::string::npos ? c.list("tasks") : std::vector<std::string>{};
  for (const auto& [name, tensor] : c.group("weight.")) {
    const std::vector<std::string> part = split(name);
    const int64_t rows = testing::block_rows(tensor), cols = tensor.shape.back();
    if (part[0] == "expert") {  // the first layer of all experts is one wide matrix, the others lie below each other
      const int64_t e = std::stoll(part[1]);
      const bool side_by_side = part[2] == "0" || part[3] == "bias";
      blocks.push_back(
          {name, "experts/" + part[2] + "/" + part[3], side_by_side ? 0 : e * rows, side_by_side ? e * cols : 0});
    } else if (part[0] == "gate") {
      const int64_t t = std::find(tasks.begin(), tasks.end(), part[1]) - tasks.begin();
      blocks.push_back({name, "gates/" + part[2], 0, t * cols});
    } else if (c.name() == "dcn_v2_full") {
      blocks.push_back({name, part[0] + "/w/" + part[1], 0, 0});
    } else if (c.name() == "dcn_v2_low_rank") {
      blocks.push_back({name, part[0] + (part[1] == "bias" ? "/u/bias" : "/" + part[1] + "/weight"), 0, 0});
    } else if (c.name() == "dcn_v2_mixture" && part.size() == 3 && part[1] != "gate") {  // a.v.e, a.c.e, a.u.e
      const int64_t e = std::stoll(part[2]);
      blocks.push_back(
          {name, part[0] + "/" + part[1] + "/weight", part[1] == "v" ? 0 : e * rows, part[1] == "v" ? e * cols : 0});
    } else if (c.name() == "dcn_v2_mixture" && part[1] == "bias") {
      blocks.push_back({name, part[0] + "/u/bias", 0, 0});
    } else {
      std::string ours = name;
      std::replace(ours.begin(), ours.end(), '.', '/');
      blocks.push_back({name, ours, 0, 0});
    }
  }
  return blocks;
}

class LayerCase {
 public:
  explicit LayerCase(const GoldenCase& c) : case_(c), builder_(graph_, true) {}

  /// Nothing to compare with when the settings are refused.
  void build() {
    Diagnostics diagnostics;
    Node settings = parse_yaml(case_.text("layer"), "case", diagnostics);
    const LayerInfo* info = find_layer(settings.find("type")->text);
    ASSERT_NE(info, nullptr);
    settings.erase("type");
    const Node resolved = info->resolve(settings, diagnostics);
    ASSERT_TRUE(diagnostics.ok()) << diagnostics.render();
    LayerContext context{builder_, inputs(), {"click", "cart", "buy"}};
    const LayerOutput out = info->build(context, resolved);
    out_ = out.values.size() == 1 ? out.values.front() : builder_.concat(out.values, "all");
    testing::weighted_sum(builder_, out_, builder_.input("grad_out", builder_.cols(out_)));
    graph_.outputs.push_back({"out", out_});
    differentiate(graph_);
  }

  template <class T>
  void compare(double tolerance) {
    GraphRunner<T> run(graph_, case_.at("out").shape[0]);
    const std::vector<Block> blocks = blocks_of(case_);
    for (const auto& [name, tensor] : case_.group("in.")) {
      run.table(name).assign(tensor.values.begin(), tensor.values.end());
      run.ids("ids:" + name) = {kRows, nullptr, nullptr};
    }
    for (const Block& b : blocks) put_block(b, case_.at("weight." + b.reference), run.param(b.weight), cols(b.weight));
    run.input("grad_out").assign(case_.at("grad_out").values.begin(), case_.at("grad_out").values.end());
    run.run(true);
    const std::vector<T> out = run.read(out_);
    EXPECT_LT(relative_difference({out.begin(), out.end()}, case_.at("out").values), tolerance) << "output";
    run.run();
    for (const auto& [name, want] : case_.group("grad_in.")) {
      const std::vector<T>& got = run.pooled_gradient("ids:" + name);
      EXPECT_LT(relative_difference({got.begin(), got.end()}, want.values), tolerance) << "gradient of input " << name;
    }
    for (const Block& b : blocks) {
      const auto& want = case_.at("grad_weight." + b.reference);
      EXPECT_LT(relative_difference(get_block(b, want, run.param_gradient(b.weight), cols(b.weight)), want.values),
                tolerance)
          << "gradient of weight " << b.reference;
    }
  }

 private:
  std::vector<ValueId> inputs() {
    std::vector<ValueId> out;
    for (const auto& [name, tensor] : case_.group("in.")) {
      const LookupFeature feature{builder_.table(name, tensor.shape[0], tensor.shape[1], {}),
                                  builder_.ids("ids:" + name), Pooling::sum};
      out.push_back(lookup(builder_, std::span(&feature, 1)).front());
    }
    return out;
  }
  int64_t cols(const std::string& param) const { return graph_.value(graph_.find(param)).cols; }

  static constexpr int32_t kRows[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  const GoldenCase& case_;
  Graph graph_;
  Builder builder_;
  ValueId out_ = kNoValue;
};

class TorchLayer : public ::testing::TestWithParam<std::string> {};

TEST_P(TorchLayer, OutputAndGradientsAgree) {
  const GoldenCase c = golden_case("layers", GetParam());
  LayerCase layer(c);
  ASSERT_NO_FATAL_FAILURE(layer.build());
  layer.compare<double>(5e-7);  // what is stored is rounded to float
  layer.compare<float>(5e-6);
}

std::vector<std::string> layer_cases() {
  std::vector<std::string> names;
  for (const GoldenCase& c : golden_cases("layers"))
    if (c.name() != "mlp_gelu_tanh") names.push_back(c.name());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Cases, TorchLayer, ::testing::ValuesIn(layer_cases()),
                         [](const ::testing::TestParamInfo<std::string>& info) { return info.param; });

}  // namespace
}  // namespace mtrank
