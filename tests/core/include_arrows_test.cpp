#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace mtrank {
namespace {

/// Includes run one way, from the higher to the lower number; folders of one number may see each other, but not in a
/// circle. docs/design.md says the same in words.
const std::map<std::string, int> kLevels = {{"core", 1},      {"config", 2},  {"graph", 3},   {"ops", 4},
                                            {"embedding", 4}, {"data", 5},    {"metrics", 5}, {"comm", 5},
                                            {"models", 5},    {"serving", 6}, {"train", 6},   {"cli", 7}};

struct Include {
  std::string file, from, to;
};

/// "framework/ops/linear.h" and "framework/ops/losses/bce.h" lie in "ops", "models/mlp.cpp" in "models".
std::string folder_of(const std::string& path) {
  if (path.rfind("framework/", 0) == 0) return path.substr(10, path.find('/', 10) - 10);
  return path.substr(0, path.find('/'));
}

std::vector<Include> includes_below(const std::string& top) {
  static const std::regex line_pattern(R"re(^\s*#\s*include\s+"([^"]+)".*)re");
  const std::filesystem::path root = MTRANK_SOURCE_DIR;
  std::vector<Include> out;
  if (!std::filesystem::exists(root / top)) return out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root / top)) {
    if (!entry.is_regular_file()) continue;
    const std::string file = std::filesystem::relative(entry.path(), root).string();
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);)
      if (std::smatch m; std::regex_match(line, m, line_pattern))
        out.push_back({file, folder_of(file), folder_of(m[1])});
  }
  return out;
}

std::vector<Include> product_includes() {
  std::vector<Include> out = includes_below("framework");
  for (Include& i : includes_below("models")) out.push_back(std::move(i));
  return out;
}

TEST(IncludeArrows, PointDownwards) {
  const std::vector<Include> includes = product_includes();
  EXPECT_GT(includes.size(), 50u);
  for (const Include& i : includes) {
    ASSERT_TRUE(kLevels.count(i.from)) << i.file << " lies in a folder that the design does not name";
    ASSERT_TRUE(kLevels.count(i.to)) << i.file << " includes " << i.to << ", which is no folder of the product";
    EXPECT_LE(kLevels.at(i.to), kLevels.at(i.from)) << i.file << " includes from " << i.to << ", which is above it";
  }
}

TEST(IncludeArrows, ServingNeverSeesTheTrainer) {
  for (const Include& i : product_includes()) EXPECT_FALSE(i.from == "serving" && i.to == "train") << i.file;
}

TEST(IncludeArrows, NoCircleBetweenFolders) {
  std::map<std::string, std::set<std::string>> arrows;
  for (const Include& i : product_includes())
    if (i.from != i.to) arrows[i.from].insert(i.to);
  for (const auto& [folder, level] : kLevels) {
    std::set<std::string> reached, next = arrows[folder];
    while (!next.empty()) {
      const std::string at = *next.begin();
      next.erase(next.begin());
      if (!reached.insert(at).second) continue;
      next.insert(arrows[at].begin(), arrows[at].end());
    }
    EXPECT_FALSE(reached.count(folder)) << folder << " includes, by way of others, itself";
  }
}

TEST(IncludeArrows, CudaSeesCoreOpsEmbeddingAndCommAlone) {
  const std::set<std::string> allowed = {"cuda", "core", "graph", "ops", "embedding", "comm"};
  for (const Include& i : includes_below("cuda"))
    EXPECT_TRUE(allowed.count(i.to)) << i.file << " includes from " << i.to;
}

}  // namespace
}  // namespace mtrank
