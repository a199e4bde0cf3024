#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::ProcessResult;
using testing::run_mtrank;

constexpr const char* kConfig = R"(
data: {train: log.csv, cache: none}
labels: {click: {}}
tables: {user: {ids: hash, rows: 1048576, dim: 16, optimizer: {type: rowwise_adagrad}}}
features: {user: {type: id}, item: {type: id}, nums: {type: dense, columns: [a, b]}}
model: {deep: {type: mlp, hidden: [16]}}
)";

std::string config_in(const TempDir& dir, const std::string& data) {
  std::string text = kConfig;
  text.replace(text.find("log.csv"), 7, data);
  std::ofstream(dir / "c.yaml") << text;
  return dir / "c.yaml";
}

TEST(PlanCommand, ShowsTablesLayersAndPeakWithoutData) {
  const TempDir dir;
  const ProcessResult r = run_mtrank({"plan", config_in(dir, "none.csv"), "--vocabulary-rows", "5000", "--nodes"});
  ASSERT_EQ(r.code, 0) << r.err;
  // 2^20 rows of 16 floats, and a float a row of state.
  for (const char* part : {"No data was read", "16.78 M", "64.0 MiB", "4.0 MiB", "deep", "predicted memory", "peak",
                           "values\n", "nodes\n", "gradient\n", "= linear(", "batch 2048 in 8 shards of 256"})
    EXPECT_THAT(r.out, HasSubstr(part));
}

TEST(PlanCommand, LearnsVocabulariesFromTheData) {
  const TempDir dir;
  std::ofstream(dir / "log.csv") << "user,item,a,b,click\n1,x,1,2,0\n2,y,1,2,1\n3,z,3,4,0\n";
  const ProcessResult r = run_mtrank({"plan", config_in(dir, dir / "log.csv")});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, ::testing::ContainsRegex("item +64 "));  // three values and the row of unseen ones, 16 wide
}

TEST(PlanCommand, WithoutTheDataThatItMustLearnFromIsADataError) {
  const TempDir dir;
  const ProcessResult r = run_mtrank({"plan", config_in(dir, dir / "none.csv")});
  EXPECT_EQ(r.code, 3) << r.err;
  EXPECT_THAT(r.err, HasSubstr("none.csv"));
}

TEST(PlanCommand, TrainRefusesAJobOverItsBudgetWithTheNumbers) {
  const TempDir dir;
  std::ofstream(dir / "log.csv") << "user,item,a,b,click\n1,x,1,2,0\n2,y,1,2,1\n";
  const std::string config = config_in(dir, dir / "log.csv");
  const ProcessResult r = run_mtrank({"train", config, "--out", dir / "run", "--set", "train.memory=20MiB"});
  EXPECT_EQ(r.code, 5);
  EXPECT_THAT(r.err, HasSubstr("of memory (tables 64.0 MiB"));
  EXPECT_THAT(r.err, HasSubstr("20.0 MiB are free"));
  const ProcessResult plan = run_mtrank({"plan", config, "--set", "train.memory=20MiB"});
  EXPECT_EQ(plan.code, 0);
  EXPECT_THAT(plan.out, HasSubstr("NOT ENOUGH"));
}

}  // namespace
}  // namespace mtrank
