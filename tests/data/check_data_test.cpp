#include "framework/data/check_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>

#include "tests/data/data_testing.h"

namespace mtrank {
namespace {

using namespace data_testing;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

class CheckDataTest : public ::testing::Test {
 protected:
  CheckDataTest() {
    spec_.transforms.tables = {hash_table("user", 100), hash_table("ad", 10), hash_table("item", 100)};
    spec_.transforms.tables[1].ids = IdKind::integer;
    auto items = list_feature("items", 2, 5);
    items.weights_column = "weights";
    spec_.transforms.features = {id_feature("user", 0), id_feature("ad", 1), items, dense_feature("price", {"price"})};
    spec_.rows.labels = {binary_label("click"), binary_label("buy")};
    spec_.rows.conditions = {{"click == 1", {{0, Comparison::equal, 1}}}};
    tasks_ = {{"click", 0, -1}, {"buy", 1, 0}};
  }

  std::vector<std::string> check(const std::string& train, const std::string& valid = "", int threads = 2) {
    spec_.parts[0].files = {folder_.write("train.csv", train)};
    spec_.parts[1].files.clear();
    if (!valid.empty()) spec_.parts[1].files = {folder_.write("valid.csv", valid)};
    std::vector<std::string> messages;
    for (const auto& p : check_data(spec_, tasks_, threads)) {
      std::string text = (p.warning ? "warning: " : "") + p.message;
      for (auto at = text.find(folder_.path()); at != std::string::npos; at = text.find(folder_.path()))
        text.erase(at, folder_.path().size() + 1);
      messages.push_back(text);
    }
    return messages;
  }

  TempDir folder_;
  DatasetSpec spec_;
  std::vector<CheckedTask> tasks_;
  const std::string head_ = "user,ad,items,weights,price,click,buy\n";
  const std::string good_ = "u1,1,a|b,1|2,3,1,1\nu2,2,,,4,0,0\nu2,3,a,1,,1,0\nu3,4,b,1,3,0,1\n";
};

TEST_F(CheckDataTest, GoodDataHasNoProblems) { EXPECT_THAT(check(head_ + good_, head_ + good_), ElementsAre()); }

TEST_F(CheckDataTest, EveryBadValueIsReportedOnceWithItsNumber) {
  for (const int threads : {1, 3}) {
    EXPECT_THAT(
        check(head_ + good_ + "u,10,a|b,1,x,yes,1\nu,-1,a,1,1,no,1\nu,1\n", "", threads),
        UnorderedElementsAre(
            HasSubstr(
                "train.csv:6: column 'ad': found '10', expected an integer from 0 to 9 (feature 'ad', table 'ad'); "
                "2 rows are like this"),
            HasSubstr("train.csv:6: column 'weights': found '1', 1 weights for the 2 ids of column 'items'"),
            HasSubstr("train.csv:6: column 'price': found 'x', expected a number"),
            HasSubstr(
                "train.csv:6: column 'click': found 'yes', expected 0 or 1 (label 'click'); `positive:` says which "
                "values are 1; 2 rows are like this"),
            "train.csv:8: found 2 fields, expected 7"));
  }
}

TEST_F(CheckDataTest, MissingColumnsAreAllReportedAndHideNothing) {
  EXPECT_THAT(check("usr,ad,items,price,click,buy\nu1,77,a,3,1,1\nu2,2,b,4,0,0\n"),
              UnorderedElementsAre(
                  "train.csv: column 'user' is not in the file; did you mean 'usr'? (it is read by feature 'user')",
                  HasSubstr("train.csv: column 'weights' is not in the file"),
                  HasSubstr("train.csv:2: column 'ad': found '77'")));
}

TEST_F(CheckDataTest, MissingColumnsOfKeysWeightsAndSplitsAreReported) {
  spec_.rows.keys = {"session"};
  spec_.rows.weight_column = "weight";
  spec_.parts[0].split.by = "hash";
  spec_.parts[1].split.by = "row";
  EXPECT_THAT(check(head_ + good_),
              UnorderedElementsAre(HasSubstr("(it is read by a metric or segment)"),
                                   HasSubstr("(it is read by data.weight)"), HasSubstr("(it is read by data.split)")));
}

TEST_F(CheckDataTest, LabelsWithoutPositivesAndConditionsThatMatchNothing) {
  EXPECT_THAT(check(head_ + good_, head_ + "u,1,,,1,0,1\nu,1,,,2,0,1\n"),
              UnorderedElementsAre("label 'click' has no positive among the 2 rows of valid",
                                   "label 'buy' has no negative among the 2 rows of valid",
                                   "task 'buy': only_when 'click == 1' matches none of the 2 rows of valid"));
  EXPECT_THAT(check(head_ + good_, head_ + "u,1,,,1,1,0\nu,1,,,2,0,1\n"),
              ElementsAre("warning: task 'buy': only_when 'click == 1' leaves no positive in valid"));
  EXPECT_THAT(check(head_ + good_, head_ + "u,1,,,1,1,\nu,1,,,2,0,\n"),
              ElementsAre("label 'buy' is missing in all of the 2 rows of valid"));
  EXPECT_THAT(check(head_ + good_, head_), ElementsAre("valid: has no usable rows"));
}

TEST_F(CheckDataTest, AFeatureThatTellsALabelIsFound) {
  EXPECT_THAT(
      check(head_ + "y,1,,,1,1,1\nn,1,,,0,0,1\nn,2,,,0,0,0\ny,1,,,1,1,0\n"),
      UnorderedElementsAre(
          "feature 'user' tells label 'click' in all of the 4 rows of train: column 'user' is 'y' where it is 1 and "
          "'n' where it is 0; take it out of the features",
          HasSubstr("feature 'price' tells label 'click'")));
}

TEST_F(CheckDataTest, RowsWithoutALabelHideNoLeakAndEmptyFieldsTellOne) {
  EXPECT_THAT(check(head_ + ",1,,,1,0,1\ny,1,,,2,1,1\nq,2,,,2,,0\n,2,,,2,0,1\ny,1,,,1,1,0\n"),
              ElementsAre(HasSubstr("column 'user' is 'y' where it is 1 and '' where it is 0")));
}

TEST_F(CheckDataTest, ConstantColumnsAndSingleRowsTellNoLabel) {
  EXPECT_THAT(check(head_ + "u,1,,,1,1,1\nu,1,,,2,0,1\nu,2,,,1,0,0\nu,1,,,2,1,0\n"), ElementsAre());
  EXPECT_THAT(check(head_ + "y,1,,,1,1,1\nn,1,,,2,0,1\nn,2,,,1,0,0\nn,1,,,2,0,0\n"), ElementsAre());
  EXPECT_THAT(check(head_ + "y,1,,,1,1,1\nn,1,,,2,0,1\ny,2,,,1,1,0\ny,1,,,2,1,0\n"), ElementsAre());
}

TEST_F(CheckDataTest, FilesThatCannotBeReadAreReportedTogether) {
  spec_.parts[2].files = {folder_.path("*.none")};
  EXPECT_THAT(check(head_ + good_, "\xff\xfe"),
              UnorderedElementsAre(HasSubstr("valid.csv: is UTF-16"),
                                   AllOf(StartsWith("test: "), HasSubstr("no file matches this pattern"))));
  spec_.parts[2].files = {folder_.path()};
  EXPECT_THAT(check(head_ + good_), ElementsAre(HasSubstr("is a directory; name its files")));
  spec_.parts[2].files = {"/dev/null"};
  EXPECT_THAT(check(head_ + good_), ElementsAre(HasSubstr("/dev/null: is no regular file")));
}

TEST_F(CheckDataTest, AMissingColumnIsToldOnceWithTheFirstThatReadsIt) {
  spec_.rows.keys = {"price"};
  const std::string rows = "user,ad,items,weights,click,buy\nu1,1,a|b,1|2,1,1\nu2,2,,,0,0\nu3,3,a,1,1,0\n";
  spec_.parts[2].files = {folder_.path("train.csv")};
  EXPECT_THAT(check(rows), UnorderedElementsAre(AllOf(HasSubstr("train.csv: column 'price' is not in the file"),
                                                      HasSubstr("(it is read by feature 'price')")),
                                                HasSubstr("train.csv: is both in data.train and in data.test")));
}

TEST_F(CheckDataTest, WithoutTheColumnOfALabelTheOthersAreChecked) {
  EXPECT_THAT(check("user,ad,items,weights,price,buy\nu1,77,a|b,1|2,3,1\n"),
              UnorderedElementsAre(HasSubstr("column 'click' is not in the file"), HasSubstr("column 'ad': found '77'"),
                                   "label 'buy' has no negative among the 1 row of train"));
  EXPECT_THAT(check("user,ad,items,weights,price\nu1,77,a|b,1|2,3\n"),
              UnorderedElementsAre(HasSubstr("column 'click' is not in the file"),
                                   HasSubstr("column 'buy' is not in the file"), HasSubstr("column 'ad': found '77'")));
}

TEST_F(CheckDataTest, TheMissingColumnOfAFeatureHidesNoCondition) {
  EXPECT_THAT(check(head_ + good_, "ad,items,weights,price,click,buy\n1,,,1,0,1\n2,,,2,0,0\n"),
              UnorderedElementsAre(HasSubstr("column 'user' is not in the file"),
                                   "label 'click' has no positive among the 2 rows of valid",
                                   "task 'buy': only_when 'click == 1' matches none of the 2 rows of valid"));
}

TEST_F(CheckDataTest, WhatOnlyTrainingKnowsIsReadInTrainingAlone) {
  spec_.transforms.features[0].serve_as = "u";
  const std::string without = "ad,items,weights,price,click,buy\n1,a,1,3,1,1\n2,,,4,0,0\n3,a,1,,1,0\n4,b,1,3,0,1\n";
  EXPECT_THAT(check(head_ + good_, without), ElementsAre());
  EXPECT_THAT(check(without), ElementsAre(HasSubstr("train.csv: column 'user' is not in the file")));
}

TEST_F(CheckDataTest, EachColumnIsAProblemAndSoAreAllRowsOfOddLengths) {
  spec_.transforms.features[2].weights_column.clear();
  spec_.transforms.features[3].columns = {"price", "weights"};
  EXPECT_THAT(check(head_ + "u1,1,a,1,3,1,1\nu2,2,,2,4,0,0\nu,1,a,1,x,1,0\nu,1,a,x,1,0,1\nu,1\nu,1,2\n"),
              UnorderedElementsAre(HasSubstr("column 'price': found 'x', expected a number (feature 'price')"),
                                   HasSubstr("column 'weights': found 'x', expected a number (feature 'price')"),
                                   "train.csv:6: found 2 fields, expected 7; 2 rows are like this"));
}

TEST_F(CheckDataTest, OnlyRowsOfThePartCountAndAllOfThem) {
  spec_.parts[0].split = {"row", 2, {1, 0}};
  spec_.rows.sample = {{"buy == 0", {{1, Comparison::equal, 0}}}, 1e-9};  // which training draws from
  EXPECT_THAT(check(head_ + "u1,1,,,1,1,0\nu,x,,,x,1,1\nu2,1,,,2,1,0\nu,1,,,1,1,1\n"),
              UnorderedElementsAre("label 'click' has no negative among the 2 rows of train",
                                   "label 'buy' has no positive among the 2 rows of train"));
}

TEST_F(CheckDataTest, AFeatureMayTellALabelWhereNothingIsLearned) {
  const std::string leak = head_ + "y,1,,,1,1,1\nn,1,,,2,0,1\nn,2,,,1,0,0\ny,1,,,2,1,0\n";
  EXPECT_THAT(check(head_ + good_, leak), ElementsAre());
}

TEST_F(CheckDataTest, AListTellsALabelToo) {
  EXPECT_THAT(check(head_ + "a,1,y|y,1|1,1,1,1\nb,1,,,2,0,1\na,2,,,1,0,0\nb,1,y|y,1|2,2,1,0\n"),
              ElementsAre(HasSubstr("column 'items' is 'y|y' where it is 1 and '' where it is 0")));
}

TEST_F(CheckDataTest, AnEmptyFieldInTheFirstRowTellsALabel) {
  EXPECT_THAT(check(head_ + ",1,,,1,1,1\n,1,,,2,1,1\nn,2,,,1,0,0\nn,1,,,2,0,0\n,1,,,2,1,0\n"),
              ElementsAre(HasSubstr("column 'user' is '' where it is 1 and 'n' where it is 0")));
}

TEST_F(CheckDataTest, ANumberThatEqualsALabelTellsIt) {
  spec_.rows.labels[1].binary = false;
  const std::string leak = head_ + "a,1,,,5.0,1,5\na,1,,,0.2,0,0.2\nb,2,,,,0,\n";
  EXPECT_THAT(check(leak + "b,2,,,3,1,3\n"), ElementsAre()) << "three numbers are few";
  EXPECT_THAT(check(leak + "b,2,,,3,1,3\nb,2,,,1,1,1e0\n"),
              ElementsAre("feature 'price' tells label 'buy' in all of the 5 rows of train: column 'price' equals it; "
                          "take it out of the features"));
  EXPECT_THAT(check(leak + "b,2,,,3,1,3\nb,2,,,2,1,1\n"), ElementsAre());
  EXPECT_THAT(check(leak + "b,2,,,3,1,3\nb,2,,,,1,0\n"), ElementsAre()) << "a missing number is none";
}

TEST_F(CheckDataTest, ALabelThatIsANumberNeedsNoPositives) {
  spec_.rows.labels[1].binary = false;
  EXPECT_THAT(check(head_ + good_, head_ + "u,1,,,1,1,2\nu,1,,,2,0,1\n"), ElementsAre());
}

TEST_F(CheckDataTest, NumbersThatCannotBeScaledAreTold) {
  using Kind = DenseStep::Kind;
  const std::string told =
      "warning: feature 'price': column 'price' is the same in all training rows, so that `normalize: zscore` cannot "
      "scale it; take it out";
  FeatureTransform& price = spec_.transforms.features[3];
  const auto rows = [&](const std::string& a, const std::string& b) {
    return head_ + "u1,1,,," + a + ",1,1\nu2,2,,," + a + ",0,0\nu2,3,,," + b + ",1,0\nu3,4,,," + b + ",0,1\n";
  };
  price.steps = {{Kind::log1p, 0, 0}};
  EXPECT_THAT(check(rows("7", "7.0")), ElementsAre()) << "nothing scales it";
  price.steps = {{Kind::clip, 0, 5}, {Kind::zscore, 0, 0}};
  EXPECT_THAT(check(rows("3", "4")), ElementsAre());
  EXPECT_THAT(check(rows("7", "7.0")), ElementsAre(told));
  EXPECT_THAT(check(rows("6", "7")), ElementsAre(told)) << "after its steps";
  price.missing = 2;
  EXPECT_THAT(check(rows("2", "")), ElementsAre(told)) << "as what stands for a missing one";
  EXPECT_THAT(check(head_), ElementsAre("train: has no usable rows"));
}

TEST_F(CheckDataTest, AFileThatEndsTooEarlyIsOneProblem) {
  std::string text = head_;
  for (uint32_t r = 0; r < 200'000; ++r) text += std::to_string(r * 2654435761u) + ",1,,,1,1,1\n";
  const std::string path = folder_.path("valid.csv.gz");
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 100);
  spec_.parts[2].files = {path};
  EXPECT_THAT(check(head_ + good_), ElementsAre(HasSubstr("valid.csv.gz: gzip data is cut off")));
}

}  // namespace
}  // namespace mtrank
