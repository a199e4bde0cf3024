#include <gtest/gtest.h>

#include "tests/support/golden.h"

namespace mtrank::testing {
namespace {

TEST(Golden, EveryFileReadsAndItsGradientsFitTheirTensors) {
  for (const char* file : {"ops", "layers"}) {
    const std::vector<GoldenCase> cases = golden_cases(file);
    EXPECT_GT(cases.size(), 15u) << file;
    for (const GoldenCase& c : cases) {
      EXPECT_EQ(c.at("out").shape, c.at("grad_out").shape) << c.name();
      for (const auto& [name, gradient] : c.group("grad_weight."))
        EXPECT_EQ(gradient.shape, c.at("weight." + name).shape) << c.name() << " " << name;
    }
  }
}

TEST(Golden, AttributesAndAnIndependentValue) {
  const GoldenCase add = golden_case("ops", "add");
  EXPECT_EQ(add.text("op"), "add");
  const auto a = add.at("in.a").values, b = add.at("in.b").values, c = add.at("in.c").values;
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(add.at("out").values[i], a[i] + b[i] + c[i], 1e-6);
  EXPECT_EQ(golden_case("optimizers", "adam_all").number("beta1"), 0.8);
  EXPECT_TRUE(golden_case("optimizers", "adam_lazy").flag("lazy"));
  EXPECT_EQ(golden_case("kuairand_small", "kuairand").at("loss").shape, std::vector<int64_t>{50});
}

TEST(Golden, RelativeDifference) {
  EXPECT_EQ(relative_difference({3, 4}, {3, 4}), 0);
  EXPECT_DOUBLE_EQ(relative_difference({3, 5}, {3, 4}), 0.2);
  EXPECT_DOUBLE_EQ(relative_difference({0, 2}, {0, 0}), 2);
  EXPECT_GT(relative_difference({1}, {1, 2}), 1e300);
}

}  // namespace
}  // namespace mtrank::testing
