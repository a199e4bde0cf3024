#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "framework/graph/plan.h"
#include "models/model.h"
#include "tests/support/line_diff.h"
#include "tests/support/process.h"

/// Every plan of tests/golden/plans: NAME.yaml is the model, NAME.txt the plan that is expected of it.
namespace mtrank {
namespace {

using testing::line_diff;
using testing::read_text;

const std::string kFolder = MTRANK_SOURCE_DIR "/tests/golden/plans/";
constexpr int64_t kRows = 8;

std::vector<std::string> golden_plans() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

std::string plans_of(const std::string& name) {
  Diagnostics diagnostics;
  Config config = load_config_text(read_text(kFolder + name + ".yaml"), name + ".yaml", {}, diagnostics);
  resolve_layers(config, diagnostics);
  TableRows rows;
  for (const Table& table : config.tables) rows[table.name] = table.rows;
  std::string text;
  for (const auto& [title, use] : {std::pair{"training", ModelUse::training}, std::pair{"scoring", ModelUse::scoring}})
    text += std::string(title) + ": " + to_text(make_plan(build_model(config, rows, use, diagnostics), kRows)) + "\n";
  diagnostics.throw_if_errors();
  return text;
}

class PlanGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(PlanGolden, IsAsWritten) {
  const std::string path = kFolder + GetParam() + ".txt", plan = plans_of(GetParam());
  if (std::getenv("MTRANK_WRITE_GOLDEN")) {
    std::ofstream(path) << plan;
    return;
  }
  const std::string diff = line_diff(read_text(path), plan);
  EXPECT_TRUE(diff.empty()) << "the plan of " << GetParam() << ".yaml has changed (-: " << path << ", +: now)\n"
                            << diff << "If that is meant: launch/golden writes the files anew; review them as code.";
}

INSTANTIATE_TEST_SUITE_P(All, PlanGolden, ::testing::ValuesIn(golden_plans()),
                         [](const auto& info) { return info.param; });

TEST(LineDiff, ShowsWhatChangedAndTheLinesAroundIt) {
  EXPECT_EQ(line_diff("a\nb\n", "a\nb\n"), "");
  EXPECT_EQ(line_diff("a\nb\nc\nd\ne\nf\n", "a\nb\nc\nX\ne\nf\n", 1), "...\n  c\n- d\n+ X\n  e\n...\n");
  EXPECT_EQ(line_diff("a\n", "a\nb\n"), "  a\n+ b\n");
  EXPECT_EQ(line_diff("", "a\n"), "+ a\n");
}

}  // namespace
}  // namespace mtrank
