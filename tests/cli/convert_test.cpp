#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "framework/cli/load.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::ProcessResult;
using testing::run_mtrank;

class ConvertTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new TempDir;
    ASSERT_EQ(run_mtrank({"synth", "funnel", "--rows", "500", "--plain", "--out", *dir_ / "log"}).code, 0);
    const ProcessResult r = run({"convert", kConfig, "--out", out()});
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_THAT(r.out, HasSubstr("train: 400 rows in 1 files, "));
    EXPECT_THAT(r.out, HasSubstr("--set data.mtb=" + out()));
  }
  static void TearDownTestSuite() { delete dir_; }

  static ProcessResult run(std::vector<std::string> arguments) {
    return run_mtrank(std::move(arguments), {"FUNNEL=" + (*dir_ / "log")});
  }
  static std::string out() { return *dir_ / "converted"; }

  static constexpr const char* kConfig = MTRANK_SOURCE_DIR "/tests/reproducibility/small.yaml";
  static TempDir* dir_;
};

TempDir* ConvertTest::dir_ = nullptr;

TEST_F(ConvertTest, WhatItMadeIsShownAndChecked) {
  EXPECT_THAT(run({"inspect", out()}).out, HasSubstr("feature 'clicked_items' (lengths)"));
  EXPECT_THAT(run({"inspect", out() + "/test-00000.mtb"}).out, HasSubstr("50 rows in 1 blocks"));
  const ProcessResult good = run({"check", kConfig, "--data", "--set", "data.mtb=" + out()});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("the converted data is ok"));
  EXPECT_EQ(run({"plan", kConfig, "--set", "data.mtb=" + out()}).code, 0);
}

TEST_F(ConvertTest, DamageExits4) {
  std::filesystem::copy(out(), *dir_ / "damaged");
  std::fstream file(*dir_ / "damaged/train-00000.mtb", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(3000);
  file.put('\x55');
  file.close();
  const ProcessResult r = run({"check", kConfig, "--data", "--set", "data.mtb=" + (*dir_ / "damaged")});
  EXPECT_EQ(r.code, 4);
  EXPECT_THAT(r.err, HasSubstr("train-00000.mtb: block 0: "));
  EXPECT_THAT(r.err, HasSubstr(" is damaged"));
}

TEST_F(ConvertTest, SynthLikeIsReadByBench) {
  const std::string funnel = MTRANK_SOURCE_DIR "/configs/bench/funnel.yaml", made = *dir_ / "synthetic";
  ProcessResult r = run({"synth", "--like", funnel, "--rows", "300", "--rows-cap", "500", "--out", made});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("train: 300 rows"));
  const std::vector<std::string> bench = {"bench", funnel,   "--batch", "64",        "--steps",
                                          "2",     "--data", made,      "--rows-cap"};
  auto with_cap = [&](const char* cap) {
    auto arguments = bench;
    arguments.push_back(cap);
    return run(arguments);
  };
  r = with_cap("500");
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("from files: "));
  r = with_cap("400");
  EXPECT_EQ(r.code, 3) << r.err;
  EXPECT_THAT(r.err, HasSubstr(".rows: 500, now 400"));
  EXPECT_EQ(r.out, "") << "it was measured first";
  EXPECT_EQ(run({"synth"}).code, 2);
  EXPECT_EQ(run({"synth", "--like", funnel}).code, 2);
}

/// The cap is of all tables, and vocabularies have as many rows: more than 100,000 too.
TEST(CappedRows, AreThoseOfVocabulariesToo) {
  const TempDir dir;
  dir.write(
      "c.yaml",
      "data: {train: none.csv}\nlabels: {click: {}}\ntables: {b: {ids: hash, rows: 300}, c: {ids: int, rows: 900000}}\n"
      "features: {a: {type: id}, b: {type: id}, c: {type: id}}\nmodel: {m: {type: mlp, from: features, hidden: "
      "[4]}}\n");
  const Config config = cli::load_or_throw({dir / "c.yaml", {}});
  EXPECT_EQ(cli::capped_rows(config, {}), (TableRows{{"a", 100000}, {"b", 300}, {"c", 900000}}));
  EXPECT_EQ(cli::capped_rows(config, 200000), (TableRows{{"a", 200000}, {"b", 300}, {"c", 200000}}));
  EXPECT_EQ(cli::capped_rows(config, 7), (TableRows{{"a", 7}, {"b", 7}, {"c", 7}}));
}

/// Its vocabularies are of all sizes, which no --rows-cap can say.
TEST_F(ConvertTest, WhatItMadeIsReadByBench) {
  const ProcessResult r = run({"bench", kConfig, "--steps", "2", "--batch", "32", "--data", out()});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("from files: "));
}

TEST_F(ConvertTest, MistakesSayWhatToDo) {
  ProcessResult r = run({"convert", kConfig, "--out", out()});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("is not empty; choose another directory, or remove it"));
  r = run({"convert", kConfig, "--out", *dir_ / "twice", "--set", "data.mtb=" + out()});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("converted already"));
  r = run({"train", kConfig, "--out", *dir_ / "run", "--set", "data.mtb=" + out(), "--set",
           "features.clicked_items.max_len=6"});
  EXPECT_EQ(r.code, 3);
  EXPECT_THAT(r.err, HasSubstr("features.clicked_items.max_len: 5, now 6"));
  r = run({"train", kConfig, "--out", *dir_ / "run3", "--set", "data.train=" + out() + "/train-00000.mtb"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err,
              HasSubstr("train-00000.mtb: is converted data; name the raw files (only training reads converted"));
  r = run({"train", kConfig, "--out", *dir_ / "run4", "--set", "data.train=" + out()});
  EXPECT_EQ(r.code, 3);
  EXPECT_THAT(r.err, HasSubstr("converted: is converted data, which is named by data.mtb"));
  r = run({"train", kConfig, "--out", *dir_ / "run2", "--set", "data.mtb=" + (*dir_ / "log")});
  EXPECT_EQ(r.code, 4);
  EXPECT_THAT(r.err, HasSubstr("holds no converted data (no manifest.json)"));
}

}  // namespace
}  // namespace mtrank
