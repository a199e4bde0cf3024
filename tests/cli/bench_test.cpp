#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::ProcessResult;
using testing::run_mtrank;

constexpr const char* kConfig = R"(
data: {train: nowhere.csv}
labels: {click: {}, stars: {type: regression}}
features:
  user: {type: id}
  item: {type: id}
  seen: {type: ids, table: item, max_len: 7}
  tags: {type: ids, length: 3, pool: sum, weights: tag_weights}
  age: {type: bucket, boundaries: [18, 30, 50]}
  nums: {type: dense, columns: [a, b, c]}
defaults: {table: {dim: 4}}
tables: {user: {ids: hash, rows: 5000}}
model:
  cross: {type: dcn_v2, from: features, layers: 1}
  experts: {type: mmoe, from: cross, experts: 2, hidden: [8]}
tasks:
  click: {tower: {from: experts, hidden: [4]}}
  stars: {only_when: click == 1, tower: {from: experts, hidden: [4]}}
train: {batch_size: 64, dense_optimizer: {type: adam}, sparse_optimizer: {type: adagrad}}
)";

TEST(Bench, NeedsNoDataAndReportsEveryOp) {
  const TempDir dir;
  std::ofstream(dir / "c.yaml") << kConfig;
  const ProcessResult r = run_mtrank({"bench", dir / "c.yaml", "--batch", "32", "--threads", "2", "--rows-cap", "1000",
                                      "--steps", "2", "--json", dir / "out.json"});
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"batch 32", "median step", "samples/s", "GFLOP/s", "GB/s", "table update", "lookup"})
    EXPECT_THAT(r.out, HasSubstr(part));
  const auto json = nlohmann::json::parse(testing::read_text(dir / "out.json"));
  EXPECT_EQ(json["batch"], 32);
  EXPECT_EQ(json["threads"], 2);
  EXPECT_GT(json["step_ms"].get<double>(), 0);
  // Ids a row: 1 + 1 + 7 + 3 + 1, rows of 4 floats; of the last op a multiply and an add each.
  EXPECT_EQ(json["ops"]["lookup"]["flops"], 32 * (13 * 4 + 5 * 4));
  // cross [23, 23], experts [23, 16], gates [23, 4], towers [8, 4] and logits [4, 1], each a multiply and an add.
  EXPECT_EQ(json["ops"]["linear"]["flops"], 2 * 32 * (23 * 23 + 23 * 16 + 23 * 4 + 2 * (8 * 4 + 4)));
}

TEST(Bench, ModelsThatDoNotFitAreRefused) {
  const TempDir dir;
  std::ofstream(dir / "c.yaml") << kConfig;
  const ProcessResult r = run_mtrank({"bench", dir / "c.yaml", "--set", "train.memory=1MiB"});
  EXPECT_EQ(r.code, 5);
  EXPECT_THAT(r.err, HasSubstr("1.0 MiB are free"));
}

TEST(Bench, AnImpossibleBatchNamesTheRange) {
  const ProcessResult r = run_mtrank({"bench", "c.yaml", "--batch", "0"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("--batch"));
  EXPECT_THAT(r.err, HasSubstr("16777216"));
}

TEST(Bench, UsageErrors) {
  const TempDir dir;
  std::ofstream(dir / "c.yaml") << kConfig;
  EXPECT_EQ(run_mtrank({"bench", dir / "c.yaml", "--threads", "0"}).code, 2);
  EXPECT_EQ(run_mtrank({"bench", dir / "c.yaml", "--device", "tpu"}).code, 2);
  EXPECT_EQ(run_mtrank({"bench", dir / "none.yaml"}).code, 2);
}

}  // namespace
}  // namespace mtrank
