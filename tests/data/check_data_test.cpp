#include "framework/data/check_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/data_testing.h"

namespace mtrank {
namespace {

using namespace data_testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
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
              UnorderedElementsAre(HasSubstr("valid.csv: is UTF-16"), HasSubstr("no file matches this pattern")));
}

}  // namespace
}  // namespace mtrank
