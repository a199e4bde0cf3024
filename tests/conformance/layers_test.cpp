#include <gtest/gtest.h>

#include <set>

#include "framework/graph/autodiff.h"
#include "framework/ops/ops.h"
#include "tests/support/layer_conformance.h"

/// Every layer of layers.def, from its row alone: a new layer is tested with no test edited.
namespace mtrank {
namespace {

class LayerConformance : public ::testing::TestWithParam<const LayerInfo*> {};

TEST_P(LayerConformance, PassesEveryCheck) {
  const std::vector<std::string> problems = testing::check_layer(*GetParam());
  EXPECT_TRUE(problems.empty()) << testing::lines(problems);
}

INSTANTIATE_TEST_SUITE_P(Layers, LayerConformance, ::testing::ValuesIn(all_layers().begin(), all_layers().end()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(LayerConformance, NamesAreUniqueAndDescribed) {
  std::set<std::string> names;
  for (const LayerInfo* layer : all_layers()) {
    EXPECT_TRUE(names.insert(layer->name).second) << layer->name;
    EXPECT_EQ(find_layer(layer->name), layer);
    EXPECT_NE(std::string(layer->doc).find("out"), std::string::npos) << layer->name << " does not say what comes out";
  }
}

// ---- the checks themselves -----------------------------------------------------------------------------------------

/// y = x * x, whose gradient forgets the second x.
const Op kForgetful{.name = "forgetful",
                    .summary = "a product with half a gradient",
                    .shapes = ops::mul.shapes,
                    .backward =
                        [](GradBuilder& grads, const OpNode& n) {
                          const ValueId dy = grads.gradient(n.outputs[0]);
                          const ValueId x = n.inputs[0];
                          grads.emit(ops::mul_gradient, {dy, x, x}, {x, kNoValue});
                        },
                    .cpu_f32 = ops::mul.cpu_f32,
                    .cpu_f64 = ops::mul.cpu_f64};

/// A layer as a user would write it; `right` takes the product that knows its gradient.
struct Squared {
  static constexpr const char* name = "squared";
  static constexpr const char* doc = "y = x * x   out [B, H].";
  static constexpr const char* examples[] = {"{}", "{right: false}"};
  struct Config {
    bool right = false;
    void fields(Fields& f) { f("right", right, "whether its gradient is right"); }
  };
  static LayerOutput build(LayerContext& context, const Config& config) {
    const ValueId x = context.input();
    return context.builder.apply1(config.right ? ops::mul : kForgetful, {x, x});
  }
};
const LayerInfo kSquared = layer_info<Squared>();

TEST(LayerConformance, AWrongGradientIsSeen) {
  const std::vector<std::string> problems = testing::check_layer(kSquared);
  ASSERT_FALSE(problems.empty());
  EXPECT_NE(problems.front().find("squared {}: plain inputs: in0[0]: gradient"), std::string::npos)
      << testing::lines(problems);
  const auto right = testing::check_case(testing::layer_case(kSquared, "{right: true}", {4, 4}));
  EXPECT_TRUE(right.empty()) << testing::lines(right);
}

}  // namespace
}  // namespace mtrank
