#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::run_mtrank;

constexpr const char* kConfig = R"(
data: {train: train.csv, valid: valid.csv.gz, cache: none}
labels: [click, buy]
tables: {ad: {ids: int, rows: 10}}
features:
  user: id
  ad: id
  items: {type: ids, weights: weights}
  price: dense
model:
  deep: {type: mlp, from: features, hidden: [4]}
tasks:
  click: {}
  buy: {only_when: click == 1}
)";

const std::string kHead = "user,ad,items,weights,price,click,buy\n";
const std::string kRows = "u1,1,a|b,1|2,3,1,1\nu2,2,,,4,0,0\nu2,3,a,1,,1,0\nu3,4,b,1,3,0,1\n";

/// A mistake in the data and what is said about it.
struct DataMistake {
  const char* name;
  std::string train;        ///< text of train.csv
  std::string valid;        ///< text of valid.csv.gz before compression
  size_t cut;               ///< bytes left of valid.csv.gz; 0: all
  const char* expected[2];  ///< in stderr
};

void PrintTo(const DataMistake& mistake, std::ostream* out) { *out << mistake.name; }

const DataMistake kMistakes[] = {
    {"missing_column",
     "usr,ad,items,weights,price,click,buy\n" + kRows,
     kHead + kRows,
     0,
     {"train.csv: column 'user' is not in the file; did you mean 'usr'?", "it is read by feature 'user'"}},
    {"too_few_fields", kHead + kRows + "u1,2\n", kHead + kRows, 0, {"train.csv:6: found 2 fields, expected 7", ""}},
    {"label_value",
     kHead + kRows + "u,1,,,1,yes,0\n",
     kHead + kRows,
     0,
     {"train.csv:6: column 'click': found 'yes', expected 0 or 1 (label 'click')", ""}},
    {"id_out_of_range",
     kHead + kRows + "u,10,,,1,0,0\n",
     kHead + kRows,
     0,
     {"train.csv:6: column 'ad': found '10', expected an integer from 0 to 9 (feature 'ad', table 'ad')", ""}},
    {"no_number",
     kHead + kRows,
     kHead + kRows + "u,1,,,cheap,0,0\n",
     0,
     {"valid.csv.gz:6: column 'price': found 'cheap', expected a number (feature 'price')", ""}},
    {"unequal_lists",
     kHead + kRows + "u,1,a|b,1,1,0,0\n",
     kHead + kRows,
     0,
     {"train.csv:6: column 'weights': found '1', 1 weights for the 2 ids of column 'items' (feature 'items')", ""}},
    {"quote_left_open",
     kHead + kRows + "\"u,1,,,1,0,0\n",
     kHead + kRows,
     0,
     {"train.csv:6: a quote is opened and never closed", ""}},
    {"truncated_gzip",
     kHead + kRows,
     kHead + kRows,
     60,
     {"valid.csv.gz: gzip data is cut off: the file ends at byte 60", ""}},
    {"empty_file", "", kHead + kRows, 0, {"train.csv: is empty, expected a header line", ""}},
    {"no_positives",
     kHead + kRows,
     kHead + "u,1,,,1,0,0\nu,1,,,1,0,1\n",
     0,
     {"label 'click' has no positive among the 2 rows of valid",
      "task 'buy': only_when 'click == 1' matches none of the 2 rows of valid"}},
    {"leak",
     kHead + "y,1,,,1,1,1\nn,1,,,2,0,1\nn,2,,,1,0,0\ny,1,,,2,1,0\n",
     kHead + kRows,
     0,
     {"feature 'user' tells label 'click' in all of the 4 rows of train", "take it out of the features"}},
};

class CheckData : public ::testing::TestWithParam<DataMistake> {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  void write_gzip(const std::string& name, const std::string& text, size_t cut) {
    gzFile file = gzopen((folder_ / name).c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
    std::string bytes = testing::read_text(folder_ / name);
    if (cut > 0) write(name, bytes.substr(0, cut));
  }
  testing::ProcessResult check() {
    std::string config = kConfig;
    for (const char* name : {"train.csv", "valid.csv.gz"}) config.insert(config.find(name), folder_.path() + "/");
    write("config.yaml", config);
    return run_mtrank({"check", folder_ / "config.yaml", "--data"});
  }
  TempDir folder_;
};

TEST_P(CheckData, NamesTheMistakeAndItsPlace) {
  const DataMistake& mistake = GetParam();
  write("train.csv", mistake.train);
  write_gzip("valid.csv.gz", mistake.valid, mistake.cut);
  const auto result = check();
  EXPECT_EQ(result.code, 3) << result.out << result.err;
  for (const char* expected : mistake.expected) EXPECT_THAT(result.err, HasSubstr(expected));
}

INSTANTIATE_TEST_SUITE_P(All, CheckData, ::testing::ValuesIn(kMistakes),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(CheckDataWarnings, ConstantNumbersAndAFileInTwoParts) {
  TempDir folder;
  folder.write("train.csv", kHead + "u1,1,a,1,3,1,1\nu2,2,,,3,0,0\nu2,3,a,1,3,1,0\nu3,4,b,1,3,0,1\n");
  std::string config = kConfig;
  config.replace(config.find("valid.csv.gz"), 12, "./train.csv");
  config.replace(config.find("price: dense"), 12, "price: {type: dense, normalize: zscore}");
  for (const char* name : {"train.csv", "./train.csv"}) config.insert(config.find(name), folder.path() + "/");
  folder.write("config.yaml", config);
  const auto result = run_mtrank({"check", folder / "config.yaml", "--data"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("warning: feature 'price': column 'price' is the same in all training rows"));
  EXPECT_THAT(result.err, HasSubstr("is both in data.train and in data.valid"));
}

class CheckGoodData : public CheckData {};

TEST_P(CheckGoodData, IsOk) {
  write("train.csv", GetParam().train);
  write_gzip("valid.csv.gz", GetParam().valid, 0);
  const auto result = check();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("the data is ok"));
}

INSTANTIATE_TEST_SUITE_P(All, CheckGoodData,
                         ::testing::Values(DataMistake{"plain", kHead + kRows, kHead + kRows, 0, {"", ""}}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace mtrank
