#include "framework/config/choices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mtrank {
namespace {

const std::vector<Choice> kChoices = {
    {"a", {{"rate", 0.5, within_below(0, 1), "how much"}, {"eager", 1, flag(), "at once"}}},
    {"b", {{"rate", 2, above_within(1, 9), "how often"}, {"only", 7, within(0, 9), "of b"}}},
    {"c", {}},
};

struct Section {
  std::string type = "a";
  ChoiceNumbers numbers;
  void fields(Fields& f) {
    f("type", type, "kind").one_of(choice_names(kChoices)).selects();
    numbers.fields(f, kChoices, type);
  }
};

std::string problems(const std::string& yaml, Section& section) {
  Diagnostics diagnostics;
  parse_fields(parse_yaml(yaml, "case", diagnostics), section, diagnostics);
  return diagnostics.render();
}

TEST(Choices, ATypeHasDefaultsAndBoundsOfItsOwn) {
  Section a, b, c;
  EXPECT_EQ(problems("{eager: false}", a), "");
  EXPECT_EQ(write_json(to_node(a)), R"({"type":"a","rate":0.5,"eager":false})");
  EXPECT_EQ(a.numbers.get("a", "eager", 1), 0);
  EXPECT_EQ(problems("{type: b, rate: 3}", b), "");
  EXPECT_EQ(write_json(to_node(b)), R"({"type":"b","rate":3,"only":7})");
  EXPECT_EQ(b.numbers.get("b", "rate", 2), 3);
  EXPECT_EQ(b.numbers.get("b", "eager", 0), 0) << "it has none";
  EXPECT_EQ(problems("c", c), "");
  EXPECT_EQ(write_json(to_node(c)), R"({"type":"c"})");
}

TEST(Choices, WhatATypeDoesNotTakeIsAnError) {
  using ::testing::AllOf;
  using ::testing::HasSubstr;
  Section section;
  EXPECT_THAT(problems("{type: a, rate: 1}", section), HasSubstr("`rate` is 1, it must be in [0, 1)"));
  EXPECT_THAT(problems("{type: b, rate: 1}", section), HasSubstr("`rate` is 1, it must be in (1, 9]"));
  EXPECT_THAT(problems("{type: b, eager: true}", section), HasSubstr("`eager` does not apply to `b`"));
  EXPECT_THAT(problems("{type: a, eager: 2}", section), HasSubstr("`eager` takes true or false"));
  EXPECT_THAT(problems("{type: d}", section), HasSubstr("`d` is not a choice for `type`"));
  EXPECT_THAT(problems("{type: [a]}", section),
              AllOf(HasSubstr("`type` takes one of its names, found a list"), HasSubstr("= help:")));
}

TEST(Choices, TheReferenceSaysWhereADefaultIsAnother) {
  const std::string table = fields_markdown(describe_fields<Section>());
  EXPECT_THAT(table, ::testing::HasSubstr("| `rate` | number | `0.5`, b: 2 |"));
  EXPECT_THAT(table, ::testing::HasSubstr("| `type` | a \\| b \\| c | `a` | kind |"));
  EXPECT_THAT(table, ::testing::HasSubstr("| `only` | number | `7` | of b; in [0, 9] (b) |"));
  EXPECT_EQ(describe_fields(Section{.type = "b", .numbers = {}})[1].bounds, "in (1, 9]");
}

}  // namespace
}  // namespace mtrank
