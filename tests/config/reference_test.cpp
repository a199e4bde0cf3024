#include "framework/config/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mtrank {
namespace {

using testing::HasSubstr;

TEST(ConfigReference, has_every_section_and_every_row_has_help) {
  const auto check = [](const auto& self, const std::string& where, const std::vector<FieldInfo>& fields) -> void {
    for (const FieldInfo& field : fields) {
      EXPECT_FALSE(field.help.empty()) << where << "." << field.name;
      self(self, where + "." + field.name, field.children);
    }
  };
  const auto sections = config_sections();
  EXPECT_EQ(sections.size(), 13u);
  for (const ConfigSection& one : sections) check(check, one.name, one.fields);
}

TEST(ConfigReference, says_defaults_bounds_and_what_a_key_applies_to) {
  const std::string text = config_reference_markdown();
  EXPECT_THAT(text, HasSubstr("| `batch_size` | integer | `2048` |"));
  EXPECT_THAT(
      text,
      HasSubstr("| `dense_optimizer.momentum` | number | `0` | share of the last step that is kept, in a table by the "
                "rows that a batch touches; 0 keeps no state; in [0, 1) (sgd) |"));
  EXPECT_THAT(text, HasSubstr("| `split.folds` | integer | `10` |"));
  EXPECT_THAT(text, HasSubstr("| E101 | unknown key |"));
  EXPECT_THAT(text, HasSubstr("| `gauc(column)` | 0/1 |"));
  EXPECT_EQ(config_section("train").name, "train");
  EXPECT_EQ(config_section("nothing").name, "");
}

}  // namespace
}  // namespace mtrank
