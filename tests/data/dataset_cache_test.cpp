#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include "framework/data/cache_key.h"
#include "framework/data/statistics.h"
#include "tests/data/dataset_testing.h"

namespace mtrank {
namespace {

using namespace data_testing;

TEST_F(DatasetTest, AChangedFileOrConfigIsReadAgain) {
  auto spec = log_spec(train_, valid_);
  spec.cache_folder = folder_.path("cache");
  const auto first = open(spec).fingerprint(Part::train);
  folder_.write("valid.csv", log_text(501, 2));
  EXPECT_EQ(open(spec).summary(Part::valid).rows, 501);
  EXPECT_THAT(log_, ::testing::ElementsAre("valid: encoding 1 file"));
  spec.transforms.tables[1].min_count = 30;
  EXPECT_NE(open(spec).fingerprint(Part::train), first);
  EXPECT_EQ(log_.size(), 3u);
}

/// What a key is made of, all of it set.
struct Keyed {
  std::vector<std::string> files;
  ReadOptions read{.format = "csv", .delimiter = ';', .trim = true, .columns = {"a", "b"}, .skip_header = true};
  std::string transforms = "{}", purpose = "rows";
  RowSpec rows;

  explicit Keyed(std::vector<std::string> f) : files(std::move(f)) {
    rows.labels = {binary_label("click"), binary_label("buy")};
    rows.labels[0].positive = {"yes"};
    rows.labels[1].comparison = Comparison::greater;
    rows.labels[1].threshold = 2;
    rows.conditions = {{"click == 1", {{0, Comparison::equal, 1}}}};
    rows.keys = {"user"};
    rows.weight_column = "w";
    rows.sample = SampleSpec{{"buy == 0", {{1, Comparison::equal, 0}}}, 0.5, SampleSpec::Correct::weight};
    rows.seed = 1;
    rows.split = {"row", 2, {1, 0}};
  }
  uint64_t key() const { return cache_key(files, read, transforms, rows, purpose); }
};

TEST_F(DatasetTest, WhateverMakesOtherRowsMakesAnotherKey) {
  const std::string copy = folder_.write("copy.csv", log_text(500, 2));
  const auto same_time = [&] { std::filesystem::last_write_time(copy, std::filesystem::last_write_time(valid_)); };
  same_time();
  using Change = std::function<void(Keyed&)>;
  const std::vector<std::pair<const char*, Change>> changes = {
      {"another file", [&](Keyed& k) { k.files = {train_}; }},
      {"another path", [&](Keyed& k) { k.files = {copy}; }},
      {"one file more", [&](Keyed& k) { k.files.push_back(copy); }},
      {"the other order",
       [&](Keyed& k) {
         k.files = {copy, valid_};
       }},
      {"format", [](Keyed& k) { k.read.format = "tsv"; }},
      {"delimiter", [](Keyed& k) { k.read.delimiter = ','; }},
      {"trim", [](Keyed& k) { k.read.trim = false; }},
      {"columns",
       [](Keyed& k) {
         k.read.columns = {"b", "a"};
       }},
      {"skip_header", [](Keyed& k) { k.read.skip_header = false; }},
      {"block_bytes", [](Keyed& k) { k.read.block_bytes /= 2; }},  // another order of sums
      {"transforms", [](Keyed& k) { k.transforms = "[]"; }},
      {"purpose", [](Keyed& k) { k.purpose = "statistics"; }},
      {"label", [](Keyed& k) { k.rows.labels[0].name = "clicked"; }},
      {"its column", [](Keyed& k) { k.rows.labels[0].column = "clicked"; }},
      {"its type", [](Keyed& k) { k.rows.labels[0].binary = false; }},
      {"its positives", [](Keyed& k) { k.rows.labels[0].positive = {"YES"}; }},
      {"its comparison", [](Keyed& k) { k.rows.labels[1].comparison = Comparison::greater_equal; }},
      {"no comparison", [](Keyed& k) { k.rows.labels[1].comparison.reset(); }},
      {"its threshold", [](Keyed& k) { k.rows.labels[1].threshold = 3; }},
      {"one label less", [](Keyed& k) { k.rows.labels.pop_back(); }},
      {"the labels' order", [](Keyed& k) { std::swap(k.rows.labels[0], k.rows.labels[1]); }},
      {"condition", [](Keyed& k) { k.rows.conditions[0].clauses[0].label = 1; }},
      {"its comparison", [](Keyed& k) { k.rows.conditions[0].clauses[0].op = Comparison::less; }},
      {"its number", [](Keyed& k) { k.rows.conditions[0].clauses[0].value = 0; }},
      {"one clause more",
       [](Keyed& k) {
         k.rows.conditions[0].clauses.push_back({1, Comparison::equal, 1});
       }},
      {"no condition", [](Keyed& k) { k.rows.conditions.clear(); }},
      {"keys", [](Keyed& k) { k.rows.keys = {"group"}; }},
      {"weight", [](Keyed& k) { k.rows.weight_column.clear(); }},
      {"sample", [](Keyed& k) { k.rows.sample->when.clauses[0].value = 1; }},
      {"its share", [](Keyed& k) { k.rows.sample->keep = 0.25; }},
      {"its correction", [](Keyed& k) { k.rows.sample->correct = SampleSpec::Correct::logit; }},
      {"its seed", [](Keyed& k) { k.rows.seed = 2; }},
      {"no sample", [](Keyed& k) { k.rows.sample.reset(); }},
      {"split", [](Keyed& k) { k.rows.split.by = "user"; }},
      {"folds", [](Keyed& k) { k.rows.split.folds = 4; }},
      {"fold",
       [](Keyed& k) {
         k.rows.split.take = {0, 1};
       }},
  };
  std::map<uint64_t, const char*> keys = {{Keyed({valid_}).key(), "no change"}};
  for (const auto& [what, change] : changes) {
    Keyed keyed({valid_});
    change(keyed);
    const auto [at, is_new] = keys.try_emplace(keyed.key(), what);
    EXPECT_TRUE(is_new) << what << " has the key of " << at->second;
  }
  Keyed seed({valid_}), none({valid_});
  seed.rows.sample.reset(), none.rows.sample.reset();
  seed.rows.seed = 2;
  EXPECT_EQ(seed.key(), none.key()) << "without a sample the seed does not matter";
  const uint64_t before = Keyed({copy}).key();
  std::filesystem::resize_file(copy, std::filesystem::file_size(valid_) - 1);
  same_time();
  EXPECT_NE(Keyed({copy}).key(), before) << "another size";
  std::filesystem::resize_file(copy, std::filesystem::file_size(valid_));
  same_time();
  EXPECT_EQ(Keyed({copy}).key(), before) << "the same size and time";
  std::filesystem::last_write_time(copy, std::filesystem::last_write_time(valid_) + std::chrono::nanoseconds(1000));
  EXPECT_NE(Keyed({copy}).key(), before) << "another time";
}

TEST_F(DatasetTest, AnotherVocabularyOfTheSameSizeEncodesAgain) {
  auto spec = log_spec(train_, valid_);
  spec.cache_folder = folder_.path("cache");
  const auto before = open(spec).fingerprint(Part::valid);
  std::string text = log_text(3000, 1);  // in which no user is known
  for (size_t at = 0; (at = text.find(",u", at)) != std::string::npos; ++at)
    if (std::isdigit(text[at + 2])) text[at + 1] = 'v';
  folder_.write("train.csv", text);
  EXPECT_NE(open(spec).fingerprint(Part::valid), before);
  EXPECT_THAT(log_, ::testing::Contains("valid: encoding 1 file"));
}

TEST_F(DatasetTest, ADamagedCacheIsMadeAgain) {
  auto spec = log_spec(train_, valid_);
  spec.cache_folder = folder_.path("cache");
  const auto expected = rows_of(*open(spec).eval(Part::train, 100));
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path("cache"))) files.push_back(entry.path());
  ASSERT_EQ(files.size(), 3u);
  for (const auto& file : files)
    for (const int how : {0, 1, 2}) {
      std::string bytes;
      {
        std::ifstream in(file, std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(in), {});
      }
      if (how == 0) bytes.resize(bytes.size() / 2);
      if (how == 1) bytes[bytes.size() / 3] = static_cast<char>(bytes[bytes.size() / 3] ^ 1);
      if (how == 2) bytes.clear();
      std::ofstream(file, std::ios::binary) << bytes;
      EXPECT_EQ(rows_of(*open(spec).eval(Part::train, 100)), expected);
      ASSERT_GE(log_.size(), 2u);
      EXPECT_THAT(log_[0], ::testing::HasSubstr("reading the data again"));
      EXPECT_EQ(rows_of(*open(spec).eval(Part::train, 100)), expected);
      EXPECT_TRUE(log_.empty());
    }
}

TEST_F(DatasetTest, TheCacheForgetsWhatIsOldAndKeepsWhatIsNotItsOwn) {
  auto spec = log_spec(train_, valid_);
  spec.cache_folder = folder_.path();
  const auto make = [&](const std::string& name, int days) {
    const auto path = folder_.write(name, "x");
    std::filesystem::last_write_time(path,
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(24 * days));
  };
  make("rows-00", 40), make("rows-01", 20), make("statistics-00", 40);
  make("rows-02.partial-7", 2), make("rows-03.partial-7", 0), make("notes.txt", 400);
  open(spec);
  std::set<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) left.insert(entry.path().filename());
  for (const char* name : {"rows-01", "rows-03.partial-7", "notes.txt", "train.csv"})
    EXPECT_TRUE(left.count(name)) << name;
  for (const char* name : {"rows-00", "statistics-00", "rows-02.partial-7"}) EXPECT_FALSE(left.count(name)) << name;
}

TEST_F(DatasetTest, AnUnwritableCacheIsDoneWithout) {
  auto spec = log_spec(train_, valid_);
  spec.cache_folder = folder_.write("a file", "") + "/cache";
  const Dataset set = open(spec);
  EXPECT_EQ(set.summary(Part::train).rows, 3000);
  EXPECT_THAT(::testing::PrintToString(log_), ::testing::HasSubstr("kept in memory"));
}

}  // namespace
}  // namespace mtrank
