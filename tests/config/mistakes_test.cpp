#include <gtest/gtest.h>

#include "framework/config/config.h"
#include "tests/support/mistakes.h"

namespace mtrank {
namespace {

using testing::Mistake;
using testing::read_mistake;

class Mistakes : public ::testing::TestWithParam<std::string> {};

TEST_P(Mistakes, is_reported_at_its_place) {
  const std::string path = MTRANK_SOURCE_DIR "/tests/cli/mistakes/" + GetParam() + ".yaml";
  const Mistake mistake = read_mistake(path);
  ASSERT_FALSE(mistake.expected.empty()) << "no `# expect:` line in " << path;
  Diagnostics d;
  load_config(path, mistake.overrides, d);
  EXPECT_EQ(d.sorted().size(), mistake.expected.size()) << d.render();
  for (const auto& expected : mistake.expected) {
    const std::string at = mistake.place(expected);
    bool found = false;
    for (const Diagnostic& one : d.sorted()) {
      const std::string text = render(one);
      found |= text.find("[" + expected.code + "]") != std::string::npos &&
               text.find("--> " + at + "\n") != std::string::npos && text.find(expected.text) != std::string::npos;
    }
    EXPECT_TRUE(found) << expected.code << " " << expected.place << " " << expected.text << "\nis not among\n"
                       << d.render();
  }
}

INSTANTIATE_TEST_SUITE_P(All, Mistakes, ::testing::ValuesIn(testing::mistake_names("tests/cli/mistakes")),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace mtrank
