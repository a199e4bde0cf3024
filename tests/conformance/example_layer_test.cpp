#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/config/diagnostics.h"
#include "models/layer.h"
#include "tests/support/layer_conformance.h"
#include "tests/support/process.h"

namespace mtrank::layers {
extern const LayerInfo glu;  // what its row in layers.def would declare
}

#include "tests/conformance/example/glu.cpp"

/// The worked example of docs/adding_a_layer.md: what the page shows is what is built here.
namespace mtrank {
namespace {

TEST(ExampleLayer, IsTheTextOfThePage) {
  const std::string page = testing::read_text(MTRANK_SOURCE_DIR "/docs/adding_a_layer.md");
  const std::string code = testing::read_text(MTRANK_SOURCE_DIR "/tests/conformance/example/glu.cpp");
  ASSERT_FALSE(code.empty());
  EXPECT_NE(page.find("```cpp\n" + code + "```"), std::string::npos) << "the page and the file differ";
}

TEST(ExampleLayer, ReadsItsSettingsStrictly) {
  Diagnostics good, bad;
  const Node resolved = layers::glu.resolve(parse_yaml("{width: 3}", "case", good), good);
  EXPECT_TRUE(good.ok()) << good.render();
  EXPECT_EQ(resolved.find("gate")->text, "sigmoid");
  layers::glu.resolve(parse_yaml("{widht: 3}", "case", bad), bad);
  EXPECT_THAT(bad.render(), ::testing::HasSubstr("widht"));
}

TEST(ExampleLayer, PassesWhatEveryLayerMustPass) {
  const std::vector<std::string> problems = testing::check_layer(layers::glu);
  EXPECT_TRUE(problems.empty()) << testing::lines(problems);
}

}  // namespace
}  // namespace mtrank
