#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "tests/support/mistakes.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::Mistake;
using testing::mistake_names;
using testing::ProcessResult;
using testing::run_mtrank;

const std::string kRoot = MTRANK_SOURCE_DIR "/";

/// Mistakes of the config's text and names, and those that only building the model shows. All are found without data.
std::vector<std::string> config_mistakes() {
  std::vector<std::string> out;
  for (const char* folder : {"tests/cli/mistakes", "tests/cli/mistakes/model"})
    for (const std::string& name : mistake_names(folder)) out.push_back(std::string(folder) + "/" + name + ".yaml");
  return out;
}

std::vector<std::string> arguments(const Mistake& mistake) {
  std::vector<std::string> out = {"check", mistake.path};
  for (const std::string& one : mistake.overrides) out.insert(out.end(), {"--set", one});
  return out;
}

std::string name_of(const ::testing::TestParamInfo<std::string>& info) {
  const size_t begin = info.param.rfind('/') + 1;
  return info.param.substr(begin, info.param.rfind('.') - begin);
}

class CheckMistakes : public ::testing::TestWithParam<std::string> {};

TEST_P(CheckMistakes, AreReportedAtTheirPlaceWithTheExitCode) {
  const Mistake mistake = testing::read_mistake(kRoot + GetParam());
  ASSERT_FALSE(mistake.expected.empty());
  const ProcessResult r = run_mtrank(arguments(mistake));
  const bool only_warnings = std::all_of(mistake.expected.begin(), mistake.expected.end(),
                                         [](const Mistake::Expected& one) { return one.code[0] == 'W'; });
  EXPECT_EQ(r.code, only_warnings ? 0 : 2) << r.err;
  for (const Mistake::Expected& one : mistake.expected) {
    EXPECT_THAT(r.err, HasSubstr("[" + one.code + "]"));
    EXPECT_THAT(r.err, HasSubstr("--> " + mistake.place(one) + "\n"));
    EXPECT_THAT(r.err, HasSubstr(one.text));
  }
}

INSTANTIATE_TEST_SUITE_P(All, CheckMistakes, ::testing::ValuesIn(config_mistakes()), name_of);

TEST(Check, FortyMistakesAreSeeded) { EXPECT_GE(config_mistakes().size(), 40u); }

TEST(Check, EveryConfigOfTheRepositoryIsSoundAndNoDataIsOpened) {
  for (const char* name : {"quickstart", "census", "kuairand_reference", "bench/dlrm_dcnv2", "bench/funnel"}) {
    const ProcessResult r = run_mtrank({"check", kRoot + "configs/" + name + ".yaml"}, {"MTRANK_DATA=/nowhere"});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(r.err, "");
    EXPECT_THAT(r.out, HasSubstr(".yaml: ok ("));
  }
}

TEST(Check, MistakesOfTheTextAndOfLayersAreReportedTogether) {
  const TempDir dir;
  std::ofstream(dir / "c.yaml") << "data: {train: t.csv}\nlabels: {click: {}}\nfeatures: {u: {type: idd}}\n"
                                   "model: {deep: {type: mlp, hiden: [4]}}\ntrain: {epochs: many}\n";
  const ProcessResult r = run_mtrank({"check", dir / "c.yaml"});
  EXPECT_EQ(r.code, 2);
  for (const char* place : {"c.yaml:3:", "c.yaml:4:", "c.yaml:5:"}) EXPECT_THAT(r.err, HasSubstr(place));
}

TEST(Check, ShapesOfPartsThatCannotBeReadAreNotGuessed) {
  const TempDir dir;
  std::ofstream(dir / "c.yaml") << "data: {train: t.csv}\nlabels: {click: {}}\n"
                                   "features: {u: {type: id, table: wide}, v: {type: id}, p: {type: dens}}\n"
                                   "tables: {wide: {dim: 0}}\n"
                                   "model:\n"
                                   "  a: {type: mlp, from: v, hidden: [-16]}\n"
                                   "  b: {type: add, from: [a, v]}\n"
                                   "  c: {type: mul, from: [u, v]}\n"
                                   "  d: {type: mul, from: [p, v]}\n"
                                   "  e: {type: mul, from: [b, q, v]}\n"
                                   "  f: {type: mlp, from: [b, c, d, e], hidden: [8]}\n";
  const ProcessResult r = run_mtrank({"check", dir / "c.yaml"});
  EXPECT_EQ(r.code, 2);
  for (const char* place : {"c.yaml:3:65", "c.yaml:4:22", "c.yaml:6:36", "c.yaml:10:28"})
    EXPECT_THAT(r.err, HasSubstr(place));
  EXPECT_THAT(r.err, HasSubstr("4 errors"));
}

TEST(Check, BytesThatAreNoTextDoNotCutTheMessageOff) {
  const TempDir dir;
  std::ofstream(dir / "zero.yaml") << "data: {train: t" << '\0' << ".csv}\n";
  for (const ProcessResult& r : {run_mtrank({"check", dir / "zero.yaml"}), run_mtrank({"plan", dir / "zero.yaml"})}) {
    EXPECT_EQ(r.code, 2);
    EXPECT_THAT(r.err, HasSubstr("byte 0x00 is a control character"));
    EXPECT_THAT(r.err, HasSubstr("data: {train: t?.csv}\n"));
    EXPECT_THAT(r.err, HasSubstr("save the file as UTF-8 text"));
  }
  std::ofstream(dir / "wide.yaml") << "\xFF\xFE" << 'd' << '\0' << ':' << '\0';
  const ProcessResult r = run_mtrank({"check", dir / "wide.yaml"});
  EXPECT_THAT(r.err, HasSubstr("the file is UTF-16"));
  EXPECT_THAT(r.err, HasSubstr("save the file as UTF-8 text"));
}

TEST(Check, TrainSaysAllOfItBeforeItReadsTheData) {
  const std::string config = kRoot + "tests/cli/mistakes/model/shapes_beside_a_slip.yaml";
  const TempDir dir;
  const ProcessResult r = run_mtrank({"train", config, "--out", dir / "run"});
  EXPECT_EQ(r.code, 2);
  EXPECT_EQ(r.err, run_mtrank({"check", config}).err + "\n");
}

TEST(Check, AMissingFileIsAUsageError) {
  const ProcessResult r = run_mtrank({"check", "/nowhere/c.yaml"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("error[E001]"));
  EXPECT_THAT(r.err, HasSubstr("/nowhere/c.yaml"));
}

}  // namespace
}  // namespace mtrank
