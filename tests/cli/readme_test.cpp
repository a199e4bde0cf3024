#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

/// What README.md and docs/ show is run: commands of ```bash blocks, configs of ```yaml blocks, links.
namespace mtrank {
namespace {

using testing::ProcessResult;
using testing::read_text;

const std::string kRoot = MTRANK_SOURCE_DIR;

/// The texts of the blocks that begin with ```<language>.
std::vector<std::string> blocks(const std::string& file, const std::string& language) {
  std::istringstream in(read_text(kRoot + "/" + file));
  std::vector<std::string> out;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (inside && line == "```") {
      inside = false;
    } else if (inside) {
      out.back() += line + "\n";
    } else if (line == "```" + language) {
      inside = true;
      out.emplace_back();
    }
  }
  return out;
}

std::vector<std::string> documents() {
  std::vector<std::string> out = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kRoot + "/docs"))
    if (entry.path().extension() == ".md") out.push_back(std::filesystem::relative(entry.path(), kRoot).string());
  return out;
}

/// A folder in which the commands work: what a clone has, with this build as build/ and a small log as data/.
void make_clone(const TempDir& dir) {
  for (const char* name : {"configs", "docs", "framework", "launch"})
    std::filesystem::create_symlink(kRoot + "/" + name, dir / name);
  std::filesystem::create_directory(dir / "build");
  std::filesystem::create_symlink(MTRANK_BINARY, dir / "build/mtrank");
  std::filesystem::create_symlink(MTRANK_LIBRARY, dir / "build/libmtrank.so");
  const ProcessResult made = testing::run_mtrank({"synth", "funnel", "--rows", "8000", "--out", dir / "data/funnel"});
  ASSERT_EQ(made.code, 0) << made.err;
}

ProcessResult shell(const TempDir& dir, const std::string& command) {
  return testing::run_process({{"bash", "-euc", command}, {}, dir.path()});
}

TEST(Documents, CommandsOfTheReadmeAndTheGuideRun) {
  const TempDir dir;
  make_clone(dir);
  int commands = 0;
  for (const char* file : {"README.md", "docs/guide.md"})
    for (const std::string& block : blocks(file, "bash")) {
      if (block.find("./launch/") == 0) {
        EXPECT_TRUE(std::filesystem::exists(kRoot + "/" + block.substr(2, block.find('\n') - 2))) << block;
        continue;  // the scripts run this very test
      }
      const ProcessResult r = shell(dir, block);
      EXPECT_EQ(r.code, 0) << file << ":\n" << block << r.out << r.err;
      ++commands;
    }
  EXPECT_GT(commands, 0);
}

TEST(Documents, TheProgramInCScoresAsPredictDoes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a program without a sanitizer cannot load a library that has one";
#endif
  const TempDir dir;
  make_clone(dir);
  const ProcessResult trained =
      shell(dir, "build/mtrank train configs/quickstart.yaml --out runs/first --set train.max_steps=1");
  ASSERT_EQ(trained.code, 0) << trained.err;
  const std::vector<std::string> programs = blocks("docs/guide.md", "c");
  ASSERT_EQ(programs.size(), 1u);
  std::ofstream(dir / "score.c") << programs.front();
  std::string scores;
  for (const std::string& block : blocks("docs/guide.md", "console")) {
    if (block.find("score.c") == std::string::npos) continue;
    const ProcessResult r = shell(dir, block);
    ASSERT_EQ(r.code, 0) << block << r.out << r.err;
    scores = r.out;
  }
  const ProcessResult predicted =
      shell(dir,
            "zcat data/funnel/test.csv.gz | head -1 > row.csv; sed 's/[^,]//g' row.csv >> row.csv; "
            "build/mtrank predict runs/first/model.safetensors --data row.csv --out /dev/stdout");
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  std::istringstream lines(scores);
  std::string names, values;
  for (std::string name, value; lines >> name >> value;) {
    names += (names.empty() ? "" : ",") + name;
    values += (values.empty() ? "" : ",") + value;
  }
  EXPECT_EQ(predicted.out, names + "\n" + values + "\n");
}

TEST(Documents, ConfigsCheck) {
  const TempDir dir;
  make_clone(dir);
  int configs = 0;
  for (const char* file : {"README.md", "docs/guide.md"})
    for (const std::string& block : blocks(file, "yaml")) {
      if (block.rfind("version:", 0) != 0) continue;  // a piece, not a whole
      std::ofstream(dir / "config.yaml") << block;
      const ProcessResult r = shell(dir, "build/mtrank check config.yaml --data");
      EXPECT_EQ(r.code, 0) << file << ":\n" << block << r.out << r.err;
      ++configs;
    }
  EXPECT_GT(configs, 0);
}

TEST(Documents, LinksLeadSomewhere) {
  const std::regex link(R"(\]\(([^)#:]+)(#[^)]*)?\))");
  for (const std::string& file : documents()) {
    const std::string text = read_text(kRoot + "/" + file);
    for (auto m = std::sregex_iterator(text.begin(), text.end(), link); m != std::sregex_iterator(); ++m) {
      const auto target = std::filesystem::path(kRoot) / std::filesystem::path(file).parent_path() / (*m)[1].str();
      EXPECT_TRUE(std::filesystem::exists(target)) << file << " links to " << (*m)[1];
    }
  }
}

TEST(Documents, ResultsOfTheReadmeAreThoseOfTheBenchmarks) {
  const std::string readme = read_text(kRoot + "/README.md"), benchmarks = read_text(kRoot + "/docs/benchmarks.md");
  const size_t begin = readme.find("## Results\n"), end = readme.find("\n## ", begin + 1);
  ASSERT_LT(begin, end);
  std::istringstream results(readme.substr(begin, end - begin));
  const std::regex cell(R"(\| ([0-9.,]+( ± [0-9.]+)?)(?= \|))");
  int cells = 0;
  for (std::string row; std::getline(results, row);)
    for (auto m = std::sregex_iterator(row.begin(), row.end(), cell); m != std::sregex_iterator(); ++m, ++cells)
      EXPECT_NE(benchmarks.find("| " + (*m)[1].str() + " "), benchmarks.npos) << (*m)[1] << " of " << row;
  EXPECT_EQ(cells, 17);
}

}  // namespace
}  // namespace mtrank
