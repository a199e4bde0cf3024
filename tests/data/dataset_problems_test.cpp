#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "framework/core/error.h"
#include "framework/data/raw_source.h"
#include "tests/data/dataset_testing.h"

namespace mtrank {
namespace {

using namespace data_testing;

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
