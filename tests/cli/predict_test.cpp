#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <sstream>

#include "framework/serving/scorer.h"
#include "tests/support/file_modes.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::ProcessResult;
using testing::run_mtrank;
using ::testing::StartsWith;

class PredictTest : public TempDirTest {
 protected:
  void SetUp() override {
    disk::Output(path("train.csv")).write(tiny_log(200, 1));
    disk::Output(path("new.csv")).write(tiny_log(1000, 2, false));  // no labels, unseen values
    write_bundle(path("model"), TinyModel(path("train.csv")).bundle());
  }
  ProcessResult predict(std::vector<std::string> more, const std::string& file = "new.csv") const {
    std::vector<std::string> arguments = {"predict", path("model"), "--data", path(file), "--out", path("scores.csv")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_mtrank(arguments);
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    std::istringstream text(contents("scores.csv"));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }
};

TEST_F(PredictTest, NineDigitsInInputOrderAreTheScorersBits) {
  const ProcessResult r = predict({});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("scored 1000 rows"));
  Scorer scorer(read_bundle(path("model")));
  const auto rows = first_rows({path("new.csv")}, scorer.read_options(), scorer.transforms(), 1000);
  std::vector<std::string_view> values;
  for (const auto& row : rows) values.insert(values.end(), row.begin(), row.end());
  const std::vector<float> expected = scorer.score_rows(values);
  const std::vector<std::string> text = lines();
  ASSERT_EQ(text.size(), 1001u);
  EXPECT_EQ(text[0], "p_click,p_buy");
  for (size_t i = 0; i < 1000; ++i) {
    char* rest = nullptr;
    EXPECT_EQ(std::strtof(text[i + 1].c_str(), &rest), expected[2 * i]) << text[i + 1];
    EXPECT_EQ(std::strtof(rest + 1, &rest), expected[2 * i + 1]) << text[i + 1];
  }
}

TEST_F(PredictTest, NeitherThreadsNorBatchesNorInstructionsChangeAByte) {
  ASSERT_EQ(predict({"--threads", "1"}).code, 0);
  const std::string expected = contents("scores.csv");
  for (const auto& more : std::vector<std::vector<std::string>>{
           {"--threads", "2"}, {"--threads", "7"}, {"--batch-size", "1"}, {"--batch-size", "333"}}) {
    ASSERT_EQ(predict(more).code, 0);
    EXPECT_EQ(contents("scores.csv"), expected) << more[0] << " " << more[1];
  }
  ASSERT_EQ(run_mtrank({"predict", path("model"), "--data", path("new.csv"), "--out", path("scalar.csv")},
                       {"MTRANK_ISA=scalar"})
                .code,
            0);
  EXPECT_EQ(contents("scalar.csv"), expected);
}

TEST_F(PredictTest, KeptColumnsComeFirstAndAreQuotedWhereNeeded) {
  const ProcessResult r = predict({"--keep", "n,user"});
  ASSERT_EQ(r.code, 0) << r.err;
  const std::vector<std::string> text = lines();
  EXPECT_EQ(text[0], "n,user,p_click,p_buy");
  EXPECT_THAT(text[1], StartsWith("0,"));
  EXPECT_THAT(text[1000], StartsWith("999,"));
  EXPECT_THAT(contents("scores.csv"), HasSubstr(",\"u,"));
  EXPECT_EQ(predict({"--keep", "n,n"}).code, 2);
}

// A column is unquoted in place, once.
TEST_F(PredictTest, AScoreMayStandBesideALabelOfItsName) {
  disk::Output(path("old.csv")).write("p_click,user,items,price,day\n1,u1,,2,3\n");
  const ProcessResult refused = predict({"--keep", "p_click"}, "old.csv");
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--keep: there would be two columns 'p_click' in " + path("scores.csv") +
                                     "; --prefix score_ names the scores score_p_click, …"));
  const ProcessResult r = predict({"--keep", "p_click", "--prefix", "s:"}, "old.csv");
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(lines().at(0), "p_click,s:p_click,s:p_buy");
  EXPECT_THAT(lines().at(1), StartsWith("1,0."));
}

TEST_F(PredictTest, AKeptColumnMayBeAFeatureWithQuotesInIt) {
  disk::Output(path("quoted.csv")).write("user,items,price,day\n\"a\"\"b\",i1,1,2\n\"\"\"c\"\"\",i1,1,2\n");
  const ProcessResult r = predict({"--keep", "user"}, "quoted.csv");
  ASSERT_EQ(r.code, 0) << r.err;
  const std::vector<std::string> text = lines();
  ASSERT_EQ(text.size(), 3u);
  EXPECT_THAT(text[1], StartsWith("\"a\"\"b\","));
  EXPECT_THAT(text[2], StartsWith("\"\"\"c\"\"\","));
}

TEST_F(PredictTest, TheStandardOutputIsWrittenAsItIs) {
  disk::Output(path("all")).write("previous\n");
  for (const std::string name : {"/dev/stdout", "/dev/fd/1"}) {
    const std::string command = "'" + testing::mtrank_binary() + "' predict '" + path("model") + "' --data '" +
                                path("new.csv") + "' --out " + name + " >> '" + path("all") + "'";
    ASSERT_EQ(testing::run_process({{"sh", "-c", command}, {}, ""}).code, 0);
  }
  ASSERT_EQ(predict({}).code, 0);
  EXPECT_EQ(contents("all"), "previous\n" + contents("scores.csv") + contents("scores.csv"));
}

TEST_F(PredictTest, ARunDirectoryStandsForItsBundle) {
  disk::make_directory(path("run"));
  const auto of = [&](const std::string& command, std::vector<std::string> more) {
    more.insert(more.begin(), {command, path("run"), "--data", path("train.csv")});
    return run_mtrank(more);
  };
  for (const ProcessResult& r : {of("predict", {"--out", path("scores.csv")}), of("eval", {})}) {
    EXPECT_EQ(r.code, 4);
    EXPECT_EQ(r.err, "error: " + path("run") +
                         " is a directory without model.safetensors: a run writes it when it ends "
                         "(train --resume)\n");
  }
  write_bundle(path("run/model.safetensors"), read_bundle(path("model")));
  EXPECT_EQ(of("predict", {"--out", path("scores.csv")}).code, 0);
  EXPECT_EQ(lines().size(), 201u);
  EXPECT_EQ(of("eval", {}).code, 0);
}

TEST_F(PredictTest, ADashIsNoFile) {
  const ProcessResult r = run_mtrank({"predict", path("model"), "--data", path("new.csv"), "--out", "-"});
  EXPECT_EQ(r.code, 2);
  EXPECT_EQ(r.err, "error: --out -: /dev/stdout prints the scores\n");
}

TEST_F(PredictTest, SeveralFilesAndPatternsInOrder) {
  disk::Output(path("new2.csv")).write(tiny_log(10, 5));
  ASSERT_EQ(predict({"--data", path("train.csv")}, "new*.csv").code, 0);
  EXPECT_EQ(lines().size(), 1u + 1000 + 10 + 200);
}

TEST_F(PredictTest, AFileWithoutRowsGivesTheHeader) {
  disk::Output(path("none.csv")).write("user,items,price,day\n");
  ASSERT_EQ(predict({}, "none.csv").code, 0);
  EXPECT_EQ(contents("scores.csv"), "p_click,p_buy\n");
}

TEST_F(PredictTest, MistakesLeaveNoOutputAndSayWhatIsWrong) {
  const auto expect = [&](const ProcessResult& r, int code, const std::string& message) {
    EXPECT_EQ(r.code, code);
    EXPECT_THAT(r.err, HasSubstr(message));
    for (const std::string& name : disk::list(dir_)) EXPECT_THAT(name, ::testing::Not(StartsWith("scores")));
  };
  expect(predict({}, "missing.csv"), 3, "missing.csv");
  disk::Output(path("bad.csv")).write("user,items,price,day\nu1,i1,2,3\nu1,i1,cheap,3\n");
  expect(predict({}, "bad.csv"), 3, "bad.csv:3: column 'price': found 'cheap'");
  disk::Output(path("lacks.csv")).write("user,items,day\nu1,i1,2\n");
  expect(predict({}, "lacks.csv"), 3, "price");
  expect(predict({"--keep", "nothing"}), 3, "nothing");
  expect(run_mtrank({"predict", path("train.csv"), "--data", path("new.csv"), "--out", path("scores.csv")}), 4,
         "train.csv is not a safetensors file");
  expect(run_mtrank({"predict", path("model"), "--data", path("new.csv"), "--out", path("no/scores.csv")}), 5,
         "cannot create " + path("no/scores.csv"));
}

TEST_F(PredictTest, BadRowsAreLeftOutWhenAllowed) {
  disk::Output(path("bad.csv")).write("user,items,price,day\nu1,i1,2,3\nu1,i1,cheap,3\nu2,,1,4\n");
  const ProcessResult r = predict({"--skip-bad-rows", "1"}, "bad.csv");
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("left out 1 bad"));
  EXPECT_EQ(lines().size(), 3u);
}

TEST_F(PredictTest, MistakesOfTheFileNameTheCommandsOwnOptions) {
  disk::Output(path("bad.csv")).write("user,items,price,day\nu1,i1,cheap,3\nu1,i1,dear,3\n");
  EXPECT_THAT(predict({}, "bad.csv").err, HasSubstr("; --skip-bad-rows N leaves such rows out"));
  EXPECT_THAT(predict({"--skip-bad-rows", "1"}, "bad.csv").err,
              HasSubstr("that is bad row number 2 and --skip-bad-rows is 1"));
  disk::Output(path("new.txt")).write(contents("new.csv"));
  EXPECT_THAT(predict({}, "new.txt").err, HasSubstr("new.txt: the name does not tell the format; set --format to"));
  ASSERT_EQ(predict({}).code, 0);
  const std::string expected = contents("scores.csv");
  ASSERT_EQ(predict({"--format", "csv"}, "new.txt").code, 0);
  EXPECT_EQ(contents("scores.csv"), expected);
  const std::string command = "'" + testing::mtrank_binary() + "' predict '" + path("model") +
                              "' --format csv --data /dev/stdin --out /dev/stdout";
  EXPECT_EQ(testing::run_process({{"sh", "-c", "cat '" + path("new.csv") + "' | " + command}, {}, ""}).out, expected);
}

TEST_F(PredictTest, TheOutputIsNoInputAndIsWhatItsNameSays) {
  const std::string log = contents("new.csv"), bundle = contents("model");
  const auto into = [&](const std::string& out) {
    return run_mtrank({"predict", path("model"), "--data", path("n*.csv"), "--out", path(out)});
  };
  for (const std::string name : {"new.csv", "./new.csv", "model"}) {
    const ProcessResult r = into(name);
    EXPECT_EQ(r.code, 2) << r.err;
    EXPECT_THAT(r.err, HasSubstr("--out " + path(name) + " is a file that is read"));
  }
  EXPECT_EQ(contents("new.csv"), log);
  EXPECT_EQ(contents("model"), bundle);
  EXPECT_EQ(into("scores.csv.zst").code, 2);
  ASSERT_EQ(predict({"--keep", "user,items,price,day"}).code, 0);
  ASSERT_EQ(run_mtrank({"predict", path("model"), "--data", path("new.csv"), "--keep", "user,items,price,day", "--out",
                        path("again.csv.gz")})
                .code,
            0);
  const std::string expected = contents("scores.csv");
  ASSERT_EQ(predict({"--keep", "user,items,price,day"}, "again.csv.gz").code, 0) << "what it wrote, it reads";
  EXPECT_EQ(contents("scores.csv"), expected);
}

TEST_F(PredictTest, WhatMayNotBeWrittenOrReadIsOneClearError) {
  const auto predict = [&](const std::string& out) {
    return testing::run_process(
        {obeying_file_modes({MTRANK_BINARY, "predict", path("model"), "--data", path("new.csv"), "--out", out}),
         {},
         ""});
  };
  disk::make_directory(path("closed"));
  ::chmod(path("closed").c_str(), 0555);
  const ProcessResult closed = predict(path("closed/scores.csv"));
  EXPECT_EQ(closed.code, 5);
  EXPECT_THAT(closed.err, HasSubstr("cannot create " + path("closed/scores.csv")));
  EXPECT_THAT(closed.err, HasSubstr("Permission denied"));
  ::chmod(path("new.csv").c_str(), 0);
  const ProcessResult data = predict(path("scores.csv"));
  EXPECT_EQ(data.code, 3);
  EXPECT_THAT(data.err, HasSubstr("new.csv: cannot be opened: Permission denied"));
  ::chmod(path("model").c_str(), 0);
  const ProcessResult model = predict(path("scores.csv"));
  EXPECT_EQ(model.code, 4);
  EXPECT_THAT(model.err, HasSubstr("model: Permission denied"));
}

TEST_F(PredictTest, AFullDiskIsOneClearError) {
  const ProcessResult r = run_mtrank({"predict", path("model"), "--data", path("new.csv"), "--out", "/dev/full"});
  EXPECT_EQ(r.code, 5);
  EXPECT_THAT(r.err, HasSubstr("cannot write /dev/full: No space left on device"));
}

}  // namespace
}  // namespace mtrank
