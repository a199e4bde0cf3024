#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "framework/config/config.h"

namespace mtrank {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

std::vector<std::string> seeds() {
  std::vector<std::string> paths;
  for (const char* folder : {"/configs", "/tests/cli/mistakes", "/tests/config"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(std::string(MTRANK_SOURCE_DIR) + folder))
      if (entry.path().extension() == ".yaml") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> out;
  for (const std::string& path : paths) out.push_back(read_text(path));
  return out;
}

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}
  size_t below(size_t n) { return n ? random_() % n : 0; }

  std::string mutate(std::string text, const std::vector<std::string>& others) {
    static const std::vector<std::string> pieces = {"{",
                                                    "}",
                                                    "[",
                                                    "]",
                                                    ": ",
                                                    "- ",
                                                    "\n",
                                                    "&a ",
                                                    "*a",
                                                    "!!int ",
                                                    "\"",
                                                    "'",
                                                    "|\n",
                                                    ">\n",
                                                    "? ",
                                                    "#",
                                                    "%",
                                                    "---",
                                                    "...",
                                                    "\t",
                                                    "null",
                                                    "~",
                                                    "-1",
                                                    "1e9",
                                                    ".inf",
                                                    ".nan",
                                                    "${",
                                                    "${X:-",
                                                    "}",
                                                    "<<: ",
                                                    "{0..9}",
                                                    "0x",
                                                    "\\",
                                                    "\xff",
                                                    "\0",
                                                    "\r\n",
                                                    "999999999999999999999",
                                                    "normal(",
                                                    ")",
                                                    ",",
                                                    "@",
                                                    "`",
                                                    "features",
                                                    "is_click",
                                                    "\xE2\x80\xA8"};
    for (size_t edits = 1 + below(4); edits > 0; --edits) {
      const size_t at = below(text.size() + 1);
      switch (below(6)) {
        case 0:
          text.insert(at, pieces[below(pieces.size())]);
          break;
        case 1:
          text.erase(at, 1 + below(20));
          break;
        case 2:
          text.insert(at, text.substr(below(text.size() + 1), below(200)));
          break;
        case 3:
          if (at < text.size()) text[at] = static_cast<char>(" 0a:,-\"{}[]#\n"[below(13)]);
          break;
        case 4:
          text.resize(at);
          break;
        default: {
          const std::string& other = others[below(others.size())];
          text.insert(at, other.substr(below(other.size() + 1), below(200)));
        }
      }
    }
    return text;
  }

 private:
  std::mt19937_64 random_;
};

/// Whatever the text, loading ends, quickly, with a config or with errors that can be shown.
TEST(ConfigFuzz, never_crashes_and_takes_bounded_time) {
  const char* wanted = std::getenv("MTRANK_FUZZ_CASES");
  const int cases = wanted ? std::atoi(wanted) : 2000;
  const std::vector<std::string> texts = seeds();
  ASSERT_FALSE(texts.empty());
  Mutator mutator(20240229);
  for (int i = 0; i < cases; ++i) {
    const std::string text = mutator.mutate(texts[mutator.below(texts.size())], texts);
    const auto start = std::chrono::steady_clock::now();
    Diagnostics d;
    const Config config = load_config_text(text, "fuzz.yaml", {}, d);
    const std::string rendering = d.render();
    if (d.ok()) {
      Diagnostics again;
      const Config second = load_config_text(resolved_yaml(config), "again.yaml", {}, again);
      ASSERT_EQ(again.errors(), 0) << "case " << i << "\n"
                                   << text << "\nresolves to\n"
                                   << resolved_yaml(config) << again.render();
      ASSERT_THAT(differences(resolved_tree(config), resolved_tree(second)), ::testing::IsEmpty())
          << "case " << i << "\n"
          << text;
    } else {
      ASSERT_NE(rendering, "");
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ASSERT_LT(seconds, 5.0) << "case " << i << "\n" << text;
  }
}

}  // namespace
}  // namespace mtrank
