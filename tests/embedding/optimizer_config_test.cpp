#include "framework/embedding/optimizer_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mtrank {
namespace {

template <class Section>
Section section(const std::string& yaml) {
  Section out;
  Diagnostics diagnostics;
  parse_fields(parse_yaml(yaml, "case", diagnostics), out, diagnostics);
  EXPECT_TRUE(diagnostics.ok()) << diagnostics.render();
  return out;
}

/// Every key of a type away from its default, which the optimiser then has; a key of the wrong type is refused.
template <class Section>
void expect_every_key(const std::vector<Choice>& choices, OptimizerUse use) {
  for (const Choice& choice : choices) {
    SCOPED_TRACE(choice.name);
    std::string yaml = "type: " + std::string(choice.name) + "\nlr: 0.25\n";
    for (const Parameter& p : choice.parameters)
      yaml += std::string(p.name) + (p.range.flag ? (p.otherwise != 0 ? ": false\n" : ": true\n") : ": 0.5\n");
    const OptimizerSettings s = optimizer_settings(section<Section>(yaml));
    EXPECT_EQ(s.info().name, choice.name);
    EXPECT_EQ(s.use(), use);
    EXPECT_EQ(s.lr, 0.25);
    for (const Parameter& p : choice.parameters)
      EXPECT_EQ(s.get(p.name), p.range.flag ? 1 - p.otherwise : 0.5) << p.name;
  }
}

TEST(OptimizerConfig, EveryTypeTakesItsNumbersAndFlags) {
  expect_every_key<DenseOptimizer>(dense_optimizer_choices(), OptimizerUse::dense);
  expect_every_key<SparseOptimizer>(table_optimizer_choices(), OptimizerUse::tables);
}

TEST(OptimizerConfig, AKeyOfAnotherTypeOrUseIsRefused) {
  const auto problems = [](auto section, const char* yaml) {
    Diagnostics diagnostics;
    parse_fields(parse_yaml(yaml, "case", diagnostics), section, diagnostics);
    return diagnostics.render();
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(problems(DenseOptimizer{}, "{type: adamw, momentum: 0.5}"), HasSubstr("it belongs to sgd"));
  EXPECT_THAT(problems(DenseOptimizer{}, "{type: adam, lazy: true}"), HasSubstr("unknown key `lazy`"));
  EXPECT_THAT(problems(SparseOptimizer{}, "{type: ftrl, weight_decay: 0.5}"), HasSubstr("does not apply to `ftrl`"));
  EXPECT_THAT(problems(SparseOptimizer{}, "{type: adam, beta2: 1}"), HasSubstr("`beta2` is 1, it must be in [0, 1)"));
  EXPECT_THAT(problems(SparseOptimizer{}, "{type: sgd, nesterov: true}"), HasSubstr("needs a `momentum` above 0"));
}

void expect_defaults(const OptimizerSettings& s) {
  const OptimizerSettings defaults(s.info().name, s.use());
  for (const OptimizerParameter& p : s.info().parameters)
    EXPECT_EQ(s.get(p.name), defaults.get(p.name)) << s.info().name << " " << p.name;
  EXPECT_EQ(s.lr, defaults.lr);
}

TEST(OptimizerConfig, DefaultsAreTheRegistrys) {
  for (const Choice& choice : table_optimizer_choices())
    expect_defaults(optimizer_settings(section<SparseOptimizer>("type: " + std::string(choice.name))));
  for (const Choice& choice : dense_optimizer_choices())
    expect_defaults(optimizer_settings(section<DenseOptimizer>("type: " + std::string(choice.name))));
}

}  // namespace
}  // namespace mtrank
