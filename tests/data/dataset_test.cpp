#include "framework/data/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "framework/data/raw_source.h"
#include "framework/data/statistics.h"
#include "tests/data/dataset_testing.h"

namespace mtrank {
namespace {

using namespace data_testing;

TEST_F(DatasetTest, ThreadsCacheAndBatchSizeDoNotChangeABit) {
  auto spec = log_spec(train_, valid_);
  const StreamOptions options{.batch_size = 128, .shuffle = true, .seed = 3};
  const Dataset one = open(spec, 1);
  const auto expected = rows_of(*one.train(options), 3), valid = rows_of(*one.eval(Part::valid, 100));
  EXPECT_EQ(expected.size(), 9000u);
  for (const int threads : {2, 3, 7}) {
    const Dataset other = open(spec, threads);
    for (const Part part : {Part::train, Part::valid}) EXPECT_EQ(other.fingerprint(part), one.fingerprint(part));
    EXPECT_EQ(rows_of(*other.train(options), 3), expected) << threads;
    EXPECT_EQ(rows_of(*other.eval(Part::valid, 33), 1), valid) << threads;
  }
  spec.cache_folder = folder_.path("cache");
  for (int time = 0; time < 2; ++time) {
    const Dataset cached = open(spec, 2 + time);
    EXPECT_EQ(log_.size(), time == 0 ? 3u : 0u) << ::testing::PrintToString(log_);
    for (const Part part : {Part::train, Part::valid}) EXPECT_EQ(cached.fingerprint(part), one.fingerprint(part));
    EXPECT_EQ(rows_of(*cached.train({.batch_size = 77, .shuffle = true, .seed = 3}), 3), expected);
    EXPECT_EQ(cached.train(options)->key_value(1, xxh64("g,2")), "g,2");
    EXPECT_EQ(cached.summary(Part::train).labels[1].rows, one.summary(Part::train).labels[1].rows);
  }
}

TEST_F(DatasetTest, SaysWhatLearningTook) {
  auto spec = log_spec(train_, valid_);
  spec.cache_folder = folder_.path("cache");
  int64_t vocabularies = 0;
  {
    const Dataset first = open(spec, 3);
    for (const TableTransform& table : first.transforms().tables)
      if (table.vocab) vocabularies += static_cast<int64_t>(table.vocab->memory());
    EXPECT_GT(first.learning_bytes(), vocabularies) << "the counts, and what is made of them";
  }
  EXPECT_EQ(open(spec, 3).learning_bytes(), 0) << "from the cache";
}

TEST_F(DatasetTest, SplitsByRowTakeEveryRowOnce) {
  auto spec = log_spec(train_, "");
  for (int part = 0; part < 3; ++part) {
    spec.parts[static_cast<size_t>(part)].files = {train_};
    spec.parts[static_cast<size_t>(part)].split = {"row", 5, {part == 0, part == 0, part == 0, part == 1, part == 2}};
  }
  const Dataset set = open(spec);
  std::vector<int> all;
  for (const Part part : {Part::train, Part::valid, Part::test})
    for (const int n : order_of(*set.eval(part, 100), 0)) {
      EXPECT_EQ(part, n % 5 < 3 ? Part::train : n % 5 == 3 ? Part::valid : Part::test) << n;
      all.push_back(n);
    }
  EXPECT_EQ(std::set<int>(all.begin(), all.end()).size(), 3000u);
}

TEST_F(DatasetTest, SplitsByColumnKeepItsValuesTogether) {
  auto spec = log_spec(train_, "");
  for (int part = 0; part < 2; ++part) {
    spec.parts[static_cast<size_t>(part)].files = {train_};
    spec.parts[static_cast<size_t>(part)].split = {"user", 4, {part == 0, part == 0, part == 0, part == 1}};
  }
  const Dataset set = open(spec);
  std::set<uint64_t> users[2];
  int64_t rows = 0;
  for (int part = 0; part < 2; ++part) {
    auto source = set.eval(static_cast<Part>(part), 100);
    Batch b;
    while (source->next(b)) users[part].insert(b.keys[0].begin(), b.keys[0].end()), rows += b.rows;
  }
  EXPECT_EQ(rows, 3000);
  EXPECT_EQ(users[0].size() + users[1].size(), 40u);
  for (int u = 0; u < 40; ++u) {
    const std::string user = "u" + std::to_string(u);
    EXPECT_TRUE(users[xxh64(user, xxh64("user")) % 4 == 3].contains(xxh64(user)));
  }
}

TEST_F(DatasetTest, StatisticsAreThoseOfTheTrainingRows) {
  const std::string text = "a,x,click\nb,1,0\na,2,1\na,,0\nlong value,4,1\nb,6,0\n";
  DatasetSpec spec;
  spec.parts[0].files = {folder_.write("s.csv", text)};
  spec.transforms.tables = {vocab_table("a")};
  spec.transforms.features = {id_feature("a", 0), dense_feature("x", {"x"}, {{DenseStep::Kind::zscore, 0, 0}})};
  spec.transforms.features[1].missing = 2;
  spec.rows.labels = {binary_label("click")};
  const Dataset set = open(spec);
  const auto& v = *set.transforms().tables[0].vocab;
  EXPECT_EQ(v.rows(), 4);
  EXPECT_EQ(v.value(1), "a");
  EXPECT_EQ(v.value(2), "b");
  EXPECT_EQ(v.value(3), "long value");
  EXPECT_NEAR(set.transforms().features[1].mean[0], 3, 1e-12);  // 1 2 2 4 6
  EXPECT_NEAR(set.transforms().features[1].deviation[0], std::sqrt(16 / 5.0) + 1e-6, 1e-12);
  spec.transforms.tables[0].min_count = 2;
  EXPECT_EQ(open(spec).schema().tables[0].rows, 3);
  EXPECT_EQ(set.summary(Part::train).labels[0].positives, 2);
}

TEST_F(DatasetTest, AFileInTwoPartsIsEncodedForEach) {
  auto spec = log_spec(train_, train_);
  spec.transforms.features[0].serve_as = "u1";  // known in training alone
  spec.cache_folder = folder_.path("cache");
  for (int time = 0; time < 2; ++time) {  // made, then found
    const Dataset set = open(spec);
    const auto users = [&](Part part) {
      std::set<int32_t> ids;
      Batch batch;
      const auto source = set.eval(part, 500);
      source->seek(0, 0);
      while (source->next(batch))
        for (int64_t r = 0; r < batch.rows; ++r) ids.insert(batch.ids[0].view(r).ids[0]);
      return ids;
    };
    EXPECT_EQ(users(Part::train).size(), 40u);
    EXPECT_EQ(users(Part::valid).size(), 1u);
  }
}

TEST_F(DatasetTest, AnIdThatIsMissingIsTheEmptyId) {
  DatasetSpec spec;
  spec.parts[0].files = {folder_.write("m.csv", "a,l,h,click\nx,x|NULL|y,NULL,0\nNULL,NULL,,1\n,NULL|y,q,0\n")};
  spec.transforms.tables = {vocab_table("a"), vocab_table("l"), hash_table("h", 1000)};
  spec.transforms.features = {id_feature("a", 0), list_feature("l", 1, 9), id_feature("h", 2)};
  spec.transforms.missing = {"", "NULL"};
  spec.rows.labels = {binary_label("click")};
  const Dataset set = open(spec);
  EXPECT_EQ(set.transforms().tables[0].vocab->bytes(), "x") << "and the empty id";
  EXPECT_EQ(set.transforms().tables[0].rows, 3);
  EXPECT_EQ(set.transforms().tables[1].vocab->bytes(), "xy");
  Batch batch;
  ASSERT_TRUE(set.eval(Part::train, 10)->next(batch));
  EXPECT_EQ(batch.ids[0].ids, (std::vector<int32_t>{2, 1, 1}));
  EXPECT_EQ(batch.ids[1].ids, (std::vector<int32_t>{1, 2, 2}));
  EXPECT_EQ(batch.ids[1].offsets, (std::vector<int32_t>{0, 2, 2, 3}));
  EXPECT_EQ(batch.ids[2].ids[0], batch.ids[2].ids[1]);
}

TEST_F(DatasetTest, RowsStraightFromFilesAreTheSameRows) {
  const Dataset set = open(log_spec(train_, valid_));
  const auto expected = rows_of(*set.eval(Part::valid, 100));
  auto encoder =
      std::make_shared<const RowEncoder>(set.transforms(), log_spec(train_, valid_).rows, EncodeFor::scoring);
  for (const int threads : {1, 3})
    for (const int64_t batch : {1, 7, 100, 10000}) {
      RawOptions options;
      options.batch_size = batch;
      options.threads = threads;
      options.keep = {"n", "group"};
      ReadOptions read;
      read.block_bytes = 1000;
      RawSource source({valid_}, read, encoder, options);
      EXPECT_EQ(rows_of(source), expected) << threads << " " << batch;
      source.seek(0, 123);
      Batch b;
      ASSERT_TRUE(source.next(b));
      EXPECT_EQ(b.rows, std::min<int64_t>(batch, 500 - 123));
      EXPECT_EQ(b.kept[0][0], "123");
      EXPECT_EQ(b.kept[1][0].substr(0, 2), "g,");
      EXPECT_EQ(source.key_value(1, xxh64(b.kept[1][0])), b.kept[1][0]);
    }
}

}  // namespace
}  // namespace mtrank
