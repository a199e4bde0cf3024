#include "framework/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include "framework/core/error.h"
#include "framework/data/cache_key.h"
#include "framework/data/raw_source.h"
#include "framework/data/statistics.h"
#include "tests/data/data_testing.h"

namespace mtrank {
namespace {

using namespace data_testing;

class DatasetTest : public ::testing::Test {
 protected:
  TempDir folder_;
  std::string train_ = folder_.write("train.csv", log_text(3000, 1));
  std::string valid_ = folder_.write("valid.csv", log_text(500, 2));
  std::vector<std::string> log_;
  Dataset open(const DatasetSpec& spec, int threads = 2) {
    log_.clear();
    return Dataset(spec, threads, [this](const std::string& line) { log_.push_back(line); });
  }
};

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

TEST_F(DatasetTest, AConstantColumnIsNotScaledAndIsReported) {
  DatasetSpec spec;
  std::string text = "x,y,z,click\n";
  for (int r = 0; r < 1000; ++r) text += "0.1,7,1" + std::to_string(r % 2) + "," + std::to_string(r % 2) + "\n";
  spec.parts[0].files = {folder_.write("c.csv", text)};
  spec.transforms.features = {dense_feature("d", {"x", "y", "z"}, {{DenseStep::Kind::zscore, 0, 0}})};
  spec.rows.labels = {binary_label("click")};
  const Dataset set = open(spec);
  const FeatureTransform& d = set.transforms().features[0];
  EXPECT_EQ(d.deviation, (std::vector<double>{1, 1, 0.5 + 1e-6}));
  EXPECT_NEAR(apply_steps(d, 1, 8), 1, 1e-9);
  EXPECT_THAT(log_, ::testing::Contains(::testing::HasSubstr("warning: feature 'd': column 'x' is the same in all")));
  EXPECT_THAT(log_, ::testing::Not(::testing::Contains(::testing::HasSubstr("column 'z'"))));
}

TEST_F(DatasetTest, LabelsThatTrainingRowsDoNotTeachAreReported) {
  DatasetSpec spec;
  spec.parts[0].files = {folder_.write("l.csv", "x,a,b,c,d\n1,1,0,,1\n2,1,0,,0\n")};
  spec.parts[1].files = {folder_.write("v.csv", "x,a,b,c,d\n1,1,0,,1\n")};
  spec.transforms.features = {dense_feature("d", {"x"}, {})};
  spec.rows.labels = {binary_label("a"), binary_label("b"), binary_label("c"), binary_label("d")};
  spec.rows.conditions = {{"b == 1", {{1, Comparison::equal, 1}}}, {"a == 1", {{0, Comparison::equal, 1}}}};
  open(spec);
  std::vector<std::string> warnings;
  for (const std::string& line : log_)
    if (line.starts_with("warning: ")) warnings.push_back(line.substr(9));
  EXPECT_THAT(warnings, ::testing::ElementsAre("label 'a' has no negative among the training rows",
                                               "label 'b' has no positive among the training rows",
                                               "label 'c' is missing in all of the training rows",
                                               "only_when 'b == 1' holds for none of the training rows"));
}

TEST_F(DatasetTest, AFileThatIsListedTwiceIsReported) {
  const std::string file = folder_.write("day.csv", log_text(100, 1));
  auto spec = log_spec(file, folder_.write("valid.csv", log_text(100, 2)));
  spec.parts[0].files.push_back(folder_ / "d*y.csv");
  open(spec);
  EXPECT_THAT(log_, ::testing::Contains("warning: " + file +
                                        ": is in data.train more than once, and so is each of its "
                                        "rows"));
  log_.clear();
  for (auto& part : spec.parts) part = spec.parts[0];
  spec.parts[2] = {};
  spec.parts[0].split = {"user", 2, {1, 0}};
  spec.parts[1].split = {"user", 2, {0, 1}};
  open(spec);
  EXPECT_EQ(std::count(log_.begin(), log_.end(),
                       "warning: " + file + ": is in data.files more than once, and so is each of its rows"),
            1);
}

TEST_F(DatasetTest, AFileInTwoPartsIsReported) {
  const std::string file = folder_.write("both.csv", log_text(100, 1));
  open(log_spec(file, folder_ / "./both.csv"));
  EXPECT_THAT(log_, ::testing::Contains(::testing::HasSubstr("both.csv: is both in data.train and in data.valid")));
  log_.clear();
  auto split = log_spec(file, file);
  split.parts[0].split = {"user", 2, {1, 0}};
  split.parts[1].split = {"user", 2, {0, 1}};
  open(split);
  EXPECT_THAT(log_, ::testing::Not(::testing::Contains(::testing::HasSubstr("is both"))));
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

TEST_F(DatasetTest, WhatCanBeReadOnlyOnceIsRefused) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe.csv").c_str(), 0600), 0);
  for (const auto& [name, why] : {std::pair{"pipe.csv", "is no regular file; training reads its files more than once"},
                                  std::pair{".", "is a directory"}}) {
    auto spec = log_spec(folder_ / name, "");
    spec.read.format = "csv";
    try {
      open(spec);
      FAIL();
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(why));
    }
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

TEST_F(DatasetTest, BadRowsAreErrorsOrSkippedAndCounted) {
  std::string text = log_text(1000, 1);
  const auto at = [&](int line) {
    size_t p = 0;
    for (int i = 1; i < line; ++i) p = text.find('\n', p) + 1;
    return p;
  };
  text.insert(at(700), "x,u1,new item,1,1,1,1,g\n1,2,3\n");
  text.insert(at(300), "5,u1,,,1,maybe,1,g\n");
  auto spec = log_spec(folder_.write("bad.csv", text), "");
  for (const int threads : {1, 4}) {
    try {
      open(spec, threads);
      FAIL();
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("bad.csv:300: column 'click': found 'maybe', expected 0 or 1"));
    }
  }
  spec.skip_bad_rows = true;
  spec.bad_row_cap = 3;
  const Dataset set = open(spec);
  EXPECT_EQ(set.summary(Part::train).rows, 1000);
  EXPECT_EQ(set.summary(Part::train).bad_rows, 3);
  EXPECT_THAT(log_.back(), ::testing::HasSubstr("train: skipped 3 bad rows, the first:"));
  const Dataset good = open(log_spec(folder_.write("good.csv", log_text(1000, 1)), ""));
  EXPECT_EQ(order_of(*set.eval(Part::train, 100), 0), order_of(*good.eval(Part::train, 100), 0));
  for (size_t t = 0; t < 2; ++t)
    EXPECT_EQ(set.transforms().tables[t].vocab->bytes(), good.transforms().tables[t].vocab->bytes())
        << "a skipped row leaves no value behind";
  spec.bad_row_cap = 2;
  try {
    open(spec, 3);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr("bad.csv:702: found 3 fields, expected 8; that is bad row number 3 and "
                                     "data.on_bad_row.cap is 2"));
  }
}

// What a stray quote takes in are no bad rows: they are lost, all that follow.
TEST_F(DatasetTest, AQuoteLeftOpenIsNotSkipped) {
  std::string text = log_text(200, 1);
  std::erase(text, '"');
  for (size_t comma = text.find("g,"); comma != std::string::npos; comma = text.find("g,", comma))
    text.erase(comma + 1, 1);
  size_t at = 0;
  for (int line = 1; line < 51; ++line) at = text.find('\n', at) + 1;
  auto spec = log_spec(folder_.write("open.csv", text.insert(at, "\"1,2\n")), "");
  spec.skip_bad_rows = true;
  spec.bad_row_cap = 1000;
  spec.parts[0].split = {"user", 2, {1, 0}};  // whatever part the broken row would be in
  for (const uint8_t take : {0, 1}) {
    spec.parts[0].split.take = {take, static_cast<uint8_t>(1 - take)};
    try {
      open(spec);
      FAIL();
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("open.csv:51: a quote is opened and never closed; this is not "
                                                     "skipped"));
    }
  }
  text += std::string(40 << 20, '\n');
  spec.parts[0].files = {folder_.write("long.csv", text)};
  try {
    open(spec);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("long.csv:51: a record longer than 16 MiB begins with '\"1,2\\n"));
  }
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

TEST_F(DatasetTest, RawErrorsComeAtTheirPlace) {
  const Dataset set = open(log_spec(train_, ""));
  auto encoder = std::make_shared<const RowEncoder>(set.transforms(), log_spec(train_, "").rows, EncodeFor::scoring);
  const auto bad = folder_.write("bad.csv", log_text(300, 5) + "1,2\n");
  ReadOptions read;
  read.block_bytes = 1000;
  RawSource source({bad}, read, encoder, {.batch_size = 10, .threads = 2, .keep = {}});
  Batch b;
  int64_t rows = 0;
  try {
    while (source.next(b)) rows += b.rows;
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("bad.csv:302: found 2 fields, expected 8"));
  }
  EXPECT_GT(rows, 200);
  EXPECT_THROW(RawSource({folder_.path("none.csv")}, {}, encoder, {}), DataError);
}

TEST_F(DatasetTest, EmptyPartsAreErrors) {
  auto spec = log_spec(folder_.write("empty.csv", "n,user,items,weights,price,click,buy,group\n"), "");
  try {
    open(spec);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("train: no rows in "));
  }
}

}  // namespace
}  // namespace mtrank
