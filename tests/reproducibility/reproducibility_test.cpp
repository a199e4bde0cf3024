#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>
#include <set>
#include <thread>

#include "framework/core/error.h"
#include "framework/core/isa.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

/// The same config, data and version give the same model.safetensors, byte by byte. `tests/reproducibility/long` does
/// the same with real configs and more kills.
namespace mtrank {
namespace {

using testing::Child;
using testing::Process;
using testing::ProcessResult;
using testing::read_text;

class Reproducibility : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new TempDir;
    const ProcessResult made =
        testing::run_mtrank({"synth", "funnel", "--rows", "4000", "--seed", "5", "--plain", "--out", *dir_ / "log"});
    ASSERT_EQ(made.code, 0) << made.err;
    reference_ = train("reference", {});
  }
  static void TearDownTestSuite() { delete dir_; }

  static Process command(const std::string& run, std::vector<std::string> more, std::vector<std::string> env = {}) {
    std::vector<std::string> argv = {MTRANK_BINARY, "train", MTRANK_SOURCE_DIR "/tests/reproducibility/small.yaml",
                                     "--out", *dir_ / run};
    argv.insert(argv.end(), more.begin(), more.end());
    env.push_back("FUNNEL=" + (*dir_ / "log"));
    return {argv, env, ""};
  }
  /// The bytes of the bundle of a run from start to end.
  static std::string train(const std::string& run, std::vector<std::string> more, std::vector<std::string> env = {}) {
    const ProcessResult r = testing::run_process(command(run, std::move(more), std::move(env)));
    EXPECT_EQ(r.code, 0) << run << ": " << r.out << r.err;
    return read_text(*dir_ / run + "/model.safetensors");
  }
  static void expect_reference(const std::string& bundle, const std::string& what) {
    ASSERT_FALSE(reference_.empty());
    EXPECT_TRUE(bundle == reference_) << what << " gives another model.safetensors";
  }

  static TempDir* dir_;
  static std::string reference_;
};

TempDir* Reproducibility::dir_ = nullptr;
std::string Reproducibility::reference_;

TEST_F(Reproducibility, TwoRuns) { expect_reference(train("again", {}), "a second run"); }

TEST_F(Reproducibility, AnyNumberOfThreads) {
  for (const char* threads : {"1", "2", "3", "7"})
    expect_reference(train(std::string("threads") + threads, {"--threads", threads}),
                     std::string(threads) + " threads");
}

TEST_F(Reproducibility, AnyInstructionSet) {
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    const std::string name(isa_name(isa));
    if (testing::run_mtrank({"doctor"}, {"MTRANK_ISA=" + name}).code != 0) continue;  // this CPU lacks it
    expect_reference(train("isa_" + name, {}, {"MTRANK_ISA=" + name}), name);
  }
}

TEST_F(Reproducibility, AnotherSeedGivesAnotherModel) {
  EXPECT_NE(train("seed", {"--seed", "4"}), reference_) << "the comparison sees no difference";
}

int number_of_kills() {
  const char* asked = std::getenv("MTRANK_KILLS");
  return asked ? std::atoi(asked) : 6;
}

/// Which step a run said it resumed at; -1 for none.
int resumed_at(const std::string& log) {
  static const std::regex pattern("resumed at step ([0-9]+)");
  std::smatch m;
  return std::regex_search(log, m, pattern) ? std::stoi(m[1]) : -1;
}

bool has_checkpoint(const std::string& run) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(run + "/checkpoints", none))
    if (std::filesystem::exists(entry.path() / "MANIFEST") &&
        entry.path().filename().string().rfind("partial-", 0) != 0)
      return true;
  return false;
}

/// What the lines of a run's metrics.jsonl are of, in order.
std::string logged(const std::string& run) {
  std::ifstream in(run + "/metrics.jsonl");
  std::string all;
  for (std::string line; std::getline(in, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json.contains("step"))
      all += json["event"].get<std::string>() + " " + json.value("split", "") + " " + json["step"].dump() + "\n";
  }
  return all;
}

TEST_F(Reproducibility, KilledAtRandomMomentsAndResumed) {
  const auto begin = std::chrono::steady_clock::now();
  expect_reference(train("unhurried", {}), "a second run");
  const double whole = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  std::mt19937 random(17);
  std::set<int> resumed;
  int run = 0, kills = 0;
  for (; kills < number_of_kills(); ++run) {
    ASSERT_LT(run, 40 * number_of_kills()) << "the kills never hit";
    const std::string name = "killed" + std::to_string(run), log = *dir_ / (name + ".log");
    for (bool done = false; !done;) {
      const bool finished = std::filesystem::exists(*dir_ / name + "/model.safetensors");  // killed on its way out
      const bool saved = has_checkpoint(*dir_ / name);
      Child child(command(name, {"--resume", "--log-format", "text"}), log);
      const double wait = whole * std::uniform_real_distribution<>(0.1, 0.9)(random);
      if (kills < number_of_kills()) std::this_thread::sleep_for(std::chrono::duration<double>(wait));
      const bool killed = kills < number_of_kills() && child.running();
      if (killed) child.signal(SIGKILL);
      const int code = child.wait();
      if (killed) {
        ++kills;
        continue;
      }
      ASSERT_EQ(code, 0) << read_text(log);
      if (saved && !finished) {
        ASSERT_GE(resumed_at(read_text(log)), 1) << read_text(log);
        resumed.insert(resumed_at(read_text(log)));
      }
      done = true;
    }
    expect_reference(read_text(*dir_ / name + "/model.safetensors"), name);
    EXPECT_EQ(logged(*dir_ / name), logged(*dir_ / "unhurried"));
  }
  EXPECT_FALSE(resumed.empty());
}

/// Converted files are the raw ones: a run may even begin with these and go on with those.
TEST_F(Reproducibility, FromConvertedFiles) {
  const std::string folder = *dir_ / "converted";
  const ProcessResult made =
      testing::run_mtrank({"convert", MTRANK_SOURCE_DIR "/tests/reproducibility/small.yaml", "--out", folder},
                          {"FUNNEL=" + (*dir_ / "log")});
  ASSERT_EQ(made.code, 0) << made.err;
  const std::vector<std::string> no_raw_files = {"FUNNEL=" + (*dir_ / "gone"), "MTRANK_CACHE=" + (*dir_ / "no_cache")};
  for (const char* threads : {"1", "3"})
    expect_reference(
        train(std::string("converted") + threads, {"--set", "data.mtb=" + folder, "--threads", threads}, no_raw_files),
        "training from converted files");
  const std::string log = *dir_ / "half.log";
  {
    Child child(command("half", {"--set", "data.mtb=" + folder}), log);
    while (child.running() && !has_checkpoint(*dir_ / "half"))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    child.signal(SIGKILL);
    child.wait();
  }
  expect_reference(train("half", {"--resume"}), "a run that went on from the raw files");
}

TEST_F(Reproducibility, AFinishedRunIsLeftAsItIs) {
  train("finished", {});
  const auto before = std::filesystem::last_write_time(*dir_ / "finished/model.safetensors");
  const ProcessResult r = testing::run_process(command("finished", {"--resume"}));
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(std::filesystem::last_write_time(*dir_ / "finished/model.safetensors"), before);
}

TEST_F(Reproducibility, InterruptedRunsSaveAndSayWhere) {
  for (const auto& [number, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    const std::string name = "signal" + std::to_string(number), log = *dir_ / (name + ".log");
    {
      Child child(command(name, {"--set", "train.epochs=2000"}), log);
      while (child.running() && !has_checkpoint(*dir_ / name))
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      child.signal(number);
      EXPECT_EQ(child.wait(), code) << read_text(log);
    }
    EXPECT_TRUE(has_checkpoint(*dir_ / name)) << read_text(log);
  }
}

}  // namespace
}  // namespace mtrank
