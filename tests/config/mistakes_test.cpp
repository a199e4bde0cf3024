#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "framework/config/config.h"

// Each file of tests/cli/mistakes holds a config with mistakes and says in its first lines what must be reported:
//   # expect: CODE LINE:COLUMN part of the message or the help      (--set:LINE:COLUMN for an override)
//   # set: key=value                                                (an override to load it with)
namespace mtrank {
namespace {

using testing::HasSubstr;

struct Mistake {
  struct Expected {
    std::string code, place, text;
  };
  std::vector<Expected> expected;
  std::vector<std::string> overrides;
};

Mistake read_mistake(const std::string& path) {
  Mistake out;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line) && line.starts_with("# ");) {
    std::istringstream words(line.substr(2));
    std::string kind;
    words >> kind;
    Mistake::Expected one;
    if (kind == "set:") {
      std::getline(words >> std::ws, one.text);
      out.overrides.push_back(one.text);
    } else if (kind == "expect:") {
      words >> one.code >> one.place;
      std::getline(words >> std::ws, one.text);
      out.expected.push_back(one);
    }
  }
  return out;
}

std::vector<std::string> mistake_files() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(MTRANK_SOURCE_DIR "/tests/cli/mistakes"))
    if (entry.path().extension() == ".yaml") out.push_back(entry.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

class Mistakes : public testing::TestWithParam<std::string> {};

TEST_P(Mistakes, is_reported_at_its_place) {
  const std::string path = MTRANK_SOURCE_DIR "/tests/cli/mistakes/" + GetParam() + ".yaml";
  const Mistake mistake = read_mistake(path);
  ASSERT_FALSE(mistake.expected.empty()) << "no `# expect:` line in " << path;
  Diagnostics d;
  load_config(path, mistake.overrides, d);
  EXPECT_EQ(d.sorted().size(), mistake.expected.size()) << d.render();
  for (const auto& expected : mistake.expected) {
    const std::string at = expected.place.starts_with("--set") ? expected.place : path + ":" + expected.place;
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

INSTANTIATE_TEST_SUITE_P(All, Mistakes, testing::ValuesIn(mistake_files()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace mtrank
