#include "framework/data/synth_like.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/config/config.h"
#include "framework/core/error.h"
#include "framework/core/host.h"
#include "framework/core/thread_pool.h"
#include "framework/data/mtb_directory.h"
#include "framework/data/synthetic_batches.h"
#include "tests/data/data_testing.h"

namespace mtrank {
namespace {

using namespace data_testing;

constexpr const char* kConfig = R"(version: 1
name: shapes
seed: 4
data: {train: none.csv, valid: none.csv}
labels: {click: {}, spend: {type: regression}}
defaults: {table: {dim: 4}}
tables: {item: {ids: vocab}, user: {ids: hash, rows: 70000}}
features:
  user: {type: id, table: user}
  items: {type: ids, table: item, max_len: 3, weights: w}
  three: {type: ids, table: user, length: 3}
  price: {type: dense, columns: [a, b], normalize: zscore}
  day: {type: bucket, boundaries: [7, 30]}
model:
  deep: {type: mlp, from: features, hidden: [4]}
tasks: {click: {tower: {from: deep, hidden: [4]}}, spend: {only_when: click == 1, tower: {from: deep, hidden: [4]}}}
eval: {segments: [day]}
)";

class SynthLikeTest : public ::testing::Test {
 protected:
  SynthLikeTest() {
    Diagnostics diagnostics;
    config_ = load_config_text(kConfig, "shapes.yaml", {}, diagnostics);
    diagnostics.throw_if_errors();
  }
  std::string write(const std::string& name, int64_t rows, int threads) const {
    synth_like(config_, rows_, {.rows = rows, .out = folder_.path(name), .threads = threads});
    return folder_.path(name);
  }
  Dataset open(const std::string& path) const {
    DatasetSpec spec = synthetic_spec(config_, rows_);
    spec.mtb = path;
    return Dataset(spec, 1);
  }

  TempDir folder_;
  Config config_;
  const std::map<std::string, int64_t> rows_ = {{"item", 300}, {"user", 1000}, {"day", 4}};
};

TEST_F(SynthLikeTest, WhatCannotFitIsRefusedBeforeTheDiskIsFull) {
  disk::FaultScope disk;
  disk.set_free_space(uint64_t{1} << 30);
  try {
    write("a", 1'000'000'000'000, 2);
    FAIL() << "it was written";
  } catch (const ResourceError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("what is left of the train rows needs "));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("only 1024.0 MiB are free in " + folder_.path()));
  }
  EXPECT_TRUE(disk::list(folder_.path()).empty());
}

TEST_F(SynthLikeTest, VocabulariesThatDoNotFitIntoMemoryAreRefused) {
  constexpr int64_t kRows = (int64_t{1} << 31) - 1;
  if (host_memory().budget() > 112 * kRows) GTEST_SKIP() << "they fit into this machine";
  auto rows = rows_;
  rows["item"] = kRows;
  try {
    synth_like(config_, rows, {.rows = 10, .out = folder_.path("a"), .threads = 1});
    FAIL() << "it was tried";
  } catch (const ResourceError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("vocabularies of 2147483647 values take about 224.0 GiB of memory"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("give a smaller --rows-cap"));
  }
}

TEST_F(SynthLikeTest, HasTheValuesOfSyntheticBatches) {
  const Dataset data = open(write("a", 3000, 1));
  EXPECT_EQ(data.summary(Part::train).rows, 3000);
  EXPECT_EQ(data.summary(Part::valid).rows, 300);
  EXPECT_FALSE(data.has(Part::test));
  EXPECT_EQ(data.schema().tables[0].rows, 300);
  EXPECT_EQ(data.transforms().tables[0].vocab->rows(), 300);
  Batch batch, expected;
  ASSERT_TRUE(data.train({.batch_size = 1000})->next(batch));
  expected.rows = 1000;
  InputSchema schema = data.schema();
  fill_synthetic(config_, schema, 0, expected);
  for (size_t s = 0; s < batch.ids.size(); ++s) {
    EXPECT_EQ(batch.ids[s].ids, expected.ids[s].ids) << s;
    EXPECT_EQ(batch.ids[s].offsets, expected.ids[s].offsets) << s;
    EXPECT_EQ(batch.ids[s].weights, expected.ids[s].weights) << s;
  }
  EXPECT_EQ(batch.dense, expected.dense);
  EXPECT_EQ(batch.labels, expected.labels);
  EXPECT_EQ(batch.conditions, expected.conditions);
  EXPECT_EQ(batch.keys, expected.keys);
}

TEST_F(SynthLikeTest, ThreadsChangeNothing) {
  const Dataset one = open(write("one", 40000, 1)), three = open(write("three", 40000, 3));
  for (const Part part : {Part::train, Part::valid}) EXPECT_EQ(one.fingerprint(part), three.fingerprint(part));
  EXPECT_EQ(rows_of(*one.eval(Part::valid, 100)), rows_of(*three.eval(Part::valid, 100)));
  EXPECT_NE(rows_of(*one.eval(Part::valid, 4000)).front(), rows_of(*one.eval(Part::train, 4000)).front());
}

TEST_F(SynthLikeTest, BatchesOfAPoolAreThoseOfOneThread) {
  ThreadPool pool(3);
  const SyntheticBatches one(config_, rows_, 50, 5), three(config_, rows_, 50, 5, {}, &pool);
  ASSERT_EQ(three.batches().size(), 5u);
  for (size_t b = 0; b < 5; ++b) {
    const Batch &expected = one.batches()[b], &batch = three.batches()[b];
    EXPECT_EQ(batch.rows, 50);
    EXPECT_EQ(batch.first_sample, static_cast<int64_t>(50 * b));
    for (size_t s = 0; s < expected.ids.size(); ++s) EXPECT_EQ(batch.ids[s].ids, expected.ids[s].ids) << s;
    EXPECT_EQ(batch.dense, expected.dense);
    EXPECT_EQ(batch.labels, expected.labels);
  }
  EXPECT_NE(one.batches()[0].dense, one.batches()[1].dense);
}

TEST_F(SynthLikeTest, AnotherCapIsAnotherConfig) {
  write("a", 10, 1);
  DatasetSpec spec = synthetic_spec(config_, {{"item", 300}, {"user", 500}, {"day", 4}});
  spec.mtb = folder_.path("a");
  EXPECT_THROW(Dataset(spec, 1), DataError);
  EXPECT_THROW(write("a", 10, 1), ConfigError) << "the directory is there";
  EXPECT_THAT(describe_mtb_directory(folder_.path("a")), ::testing::HasSubstr("  synthetic\n"));
}

}  // namespace
}  // namespace mtrank
