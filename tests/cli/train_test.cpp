#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "framework/embedding/accelerator.h"
#include "framework/serving/safetensors.h"
#include "tests/support/file_modes.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

/// `mtrank train` as a user meets it: its run directory, what stops it, what continues it.
namespace mtrank {
namespace {

using ::testing::AllOf;
using testing::Child;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Process;
using testing::ProcessResult;
using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

constexpr const char* kTraining = R"(train: {batch_size: 50, epochs: 4, threads: 2, checkpoint: {every: 7 steps}}
eval: {every: epoch, metrics: [auc, logloss], segments: [day], best: mean.logloss})";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class TrainTest : public TempDirTest {
 protected:
  void SetUp() override {
    disk::Output(path("train.csv")).write(tiny_log(400, 1));
    disk::Output(path("valid.csv")).write(tiny_log(150, 2));
    const std::string valid = path("valid.csv");
    const std::string data = "train: \"" + path("train.csv") + "\", valid: \"" + valid + "\", test: \"" + valid + "\"";
    disk::Output(path("config.yaml")).write(tiny_config(data, kTraining));
  }
  Process command(const std::string& run, const Arguments& more) const {
    Process process{{MTRANK_BINARY, "train", path("config.yaml"), "--out", path(run)}, {}, ""};
    process.argv.insert(process.argv.end(), more.begin(), more.end());
    return process;
  }
  ProcessResult train(const std::string& run, const Arguments& more = {}) const {
    return testing::run_process(command(run, more));
  }
  /// The bundle of a run that must succeed.
  std::string bundle(const std::string& run, const Arguments& more = {}) const {
    const ProcessResult r = train(run, more);
    EXPECT_EQ(r.code, 0) << r.out << r.err;
    return contents(run + "/model.safetensors");
  }
  std::vector<std::string> checkpoints(const std::string& run) const {
    std::vector<std::string> found;
    if (!disk::is_directory(path(run + "/checkpoints"))) return found;
    for (const std::string& name : disk::list(path(run + "/checkpoints")))
      if (name.starts_with("step-")) found.push_back(name);
    std::sort(found.begin(), found.end());
    return found;
  }
  Json newest_state(const std::string& run) const {
    return Json::parse(contents(run + "/checkpoints/" + checkpoints(run).back() + "/state.json"));
  }
  std::vector<Json> metrics(const std::string& run) const {
    std::vector<Json> lines;
    for (const std::string& line : lines_of(contents(run + "/metrics.jsonl"))) lines.push_back(Json::parse(line));
    return lines;
  }
  /// Starts a run, sends a signal once `ready`, and returns how it ended.
  int interrupted(const std::string& run, const Arguments& more, int signal, const std::function<bool()>& ready) const {
    Child child(command(run, more), path(run + ".log"));
    while (child.running() && !ready()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    child.signal(signal);
    return child.wait();
  }
};

TEST_F(TrainTest, ADeviceThatIsNotThereIsRefusedBeforeDataIsRead) {
  std::string why;
  if (accelerator_present(&why)) GTEST_SKIP() << "there is a GPU";
  disk::Output(path("train.csv")).write("this would be refused\n");
  ProcessResult r = train("cuda", {"--device", "cuda"});
  EXPECT_EQ(r.code, accelerator_built() ? 5 : 2);
  EXPECT_THAT(r.err, AllOf(HasSubstr("train.device is cuda, but " + why), ContainsRegex("[Uu]se --device cpu")));
  r = train("bf16", {"--set", "train.precision=bf16"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("train.precision is bf16, which needs a GPU, and train.device auto found none: " + why));
  EXPECT_EQ(train("cpu").code, 3);
}

/// With such learning rates no weight moves, and no evaluation is better than the first, which comes after 8 steps.
TEST_F(TrainTest, PatienceEndsARunThatGetsNoBetter) {
  for (const int64_t patience : {1, 3}) {
    const std::string n = std::to_string(patience), run = "patience" + n;
    const ProcessResult r =
        train(run, {"--set", "train.dense_optimizer.lr=1e-30", "--set", "train.sparse_optimizer.lr=1e-30", "--set",
                    "train.epochs=9", "--set", "eval.patience=" + n});
    ASSERT_EQ(r.code, 0) << r.out << r.err;
    const int64_t last = 8 * (1 + patience);
    EXPECT_THAT(r.out, HasSubstr("no better mean.logloss in " + n + " evaluations: stopping at step " +
                                 std::to_string(last) + "\n"));
    EXPECT_THAT(r.out, HasSubstr("model.safetensors (step 8)"));
    EXPECT_EQ(newest_state(run)["step"], last);
    EXPECT_EQ(newest_state(run)["done"], true);
  }
}

/// With such learning rates the evaluations after 8, 16 and 24 steps are the best so far, those up to 48 are not.
TEST_F(TrainTest, TheBestCheckpointIsExportedAndMissedWhereItIsGone) {
  Arguments best = {
      "--set", "train.dense_optimizer.lr=0.01", "--set", "train.sparse_optimizer.lr=0.01", "--set", "train.epochs=6",
      "--set", "train.checkpoint.keep=20"};
  const auto users = [&](const std::string& file) {
    const SafetensorsReader reader(path("run/" + file));
    std::vector<float> rows(50 * 4);
    reader.read(reader.require("embedding/user", DType::f32, {50, 4}), rows.data());
    return rows;
  };
  const auto checkpoint = [](int step) {
    return (step < 10 ? "checkpoints/step-00000000000" : "checkpoints/step-0000000000") + std::to_string(step);
  };
  bundle("run", best);
  EXPECT_EQ(users("model.safetensors"), users(checkpoint(24) + "/tensors.safetensors"));
  disk::remove(path("run/model.safetensors"));
  best.push_back("--resume");
  for (const int step : {24, 16, 8}) {
    disk::remove(path("run/" + checkpoint(step)));
    const ProcessResult r = train("run", best);
    EXPECT_EQ(r.code, 4);
    EXPECT_THAT(r.err, HasSubstr("the best checkpoint, of step 24, is gone from " + path("run/checkpoints")));
  }
  EXPECT_THAT(train("last", {"--set", "eval.best=last"}).out, HasSubstr("model.safetensors (step 32)"));
}

TEST_F(TrainTest, AnIntervalOfSeveralEpochsComesOnceInSoMany) {
  bundle("run", {"--set", "eval.every=2 epochs", "--set", "train.checkpoint.every=3 epochs"});
  std::vector<int64_t> steps;
  for (const std::string& line : lines_of(contents("run/metrics.jsonl")))
    if (const Json record = Json::parse(line); record["event"] == "eval" && record["split"] == "valid")
      steps.push_back(record["step"]);
  EXPECT_EQ(steps, (std::vector<int64_t>{16, 32})) << "of 4 epochs of 8 steps";
}

TEST_F(TrainTest, MetricsLinesHaveTheirFields) {
  bundle("run");
  const std::vector<Json> all = metrics("run");
  std::vector<std::string> splits;
  for (const Json& line : all) {
    if (line["event"] == "train") {
      for (const char* field : {"step", "epoch", "samples_per_s", "data_wait", "learning_rate", "gradient_norm"})
        EXPECT_TRUE(line[field].is_number()) << field << " in " << line;
      EXPECT_TRUE(line["loss"]["click"].is_number() && line["loss"]["buy"].is_number()) << line;
      continue;
    }
    ASSERT_EQ(line["event"], "eval");
    splits.push_back(line["split"]);
    for (const char* task : {"click", "buy", "p_buy"})
      for (const char* metric : {"auc", "logloss"}) EXPECT_TRUE(line["tasks"][task].contains(metric)) << line;
    EXPECT_TRUE(line["segments"]["day"]["39"]["click"].contains("auc")) << "segments go by the value's name";
  }
  EXPECT_EQ(splits, (std::vector<std::string>{"valid", "valid", "valid", "valid", "test"}));
  EXPECT_EQ(all.back()["split"], "test");
}

TEST_F(TrainTest, AReaderThatGoesAwayCostsNothingAndAFullDiskIsNamed) {
  const auto shell = [&](const std::string& run, const std::string& to) {
    return testing::run_process(
        {{"bash", "-c",
          "'" + testing::mtrank_binary() + "' train '" + path("config.yaml") + "' --out '" + path(run) + "' " + to},
         {},
         ""});
  };
  const ProcessResult head = shell("head", "| head -1; exit ${PIPESTATUS[0]}");
  EXPECT_EQ(head.code, 0) << head.err;
  EXPECT_EQ(head.err, "");
  const ProcessResult full = shell("full", "> /dev/full");
  EXPECT_EQ(full.code, 5);
  EXPECT_THAT(full.err, HasSubstr("cannot write to standard output: No space left on device"));
  EXPECT_EQ(contents("head/model.safetensors"), contents("full/model.safetensors")) << "the run itself is whole";
}

TEST_F(TrainTest, AFileThatMayNotGrowIsAnErrorNotASignal) {
  const ProcessResult r = testing::run_process({{"bash", "-c",
                                                 "ulimit -f 1; '" + testing::mtrank_binary() + "' train '" +
                                                     path("config.yaml") + "' --out '" + path("run") + "' > /dev/null"},
                                                {},
                                                ""});
  EXPECT_EQ(r.code, 5);
  EXPECT_THAT(r.err, HasSubstr("File too large"));
}

TEST_F(TrainTest, JsonOnStdoutIsOneObjectALine) {
  const ProcessResult xml = train("run", {"--log-format", "xml"});
  EXPECT_EQ(xml.code, 2);
  EXPECT_THAT(xml.err, HasSubstr("--log-format: xml not in {json,text}"));
  const ProcessResult r = train("run", {"--log-format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  std::map<std::string, int> events;
  for (const std::string& line : lines_of(r.out)) ++events[Json::parse(line)["event"]];
  EXPECT_GE(events["train"], 2) << "the first and the last step at least";
  EXPECT_EQ(events["eval"], 5);
  EXPECT_GE(events["message"], 1);
  EXPECT_EQ(events.size(), 3u);
}

TEST_F(TrainTest, ProgressWithoutATerminalIsPlainLines) {
  const ProcessResult r = train("run");
  EXPECT_THAT(r.out, AllOf(HasSubstr("step 1/32  epoch 1"), HasSubstr("step 32/32  epoch 4 100%"),
                           HasSubstr("test at step"), HasSubstr("wrote " + path("run/model.safetensors"))));
  EXPECT_THAT(r.out, Not(HasSubstr("\r")));
}

TEST_F(TrainTest, AnUndefinedBestIsTold) {
  disk::Output(path("valid.csv")).write("user,items,price,day,click,buy\nu1,i1,2,3,1,\nu2,i2,3,4,1,\n");
  const ProcessResult r = train("run", {"--set", "eval.best=click.auc", "--set", "eval.metrics=[auc]", "--set",
                                        "eval.segments=[]", "--set", "eval.patience=2"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("warning: click.auc is undefined at step 8, which is therefore not the best\n"));
  EXPECT_THAT(r.out, HasSubstr("no better click.auc in 2 evaluations: stopping at step 16\n"));
}

TEST_F(TrainTest, AFullDirectoryNeedsResume) {
  const ProcessResult nowhere =
      testing::run_process({{MTRANK_BINARY, "train", path("config.yaml"), "--out", ""}, {}, ""});
  EXPECT_EQ(nowhere.code, 2);
  EXPECT_EQ(nowhere.err, "error: --out is empty; give a directory\n");

  disk::make_directory(path("run"));
  disk::Output(path("run/notes.txt")).write("mine");
  const ProcessResult r = train("run");
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, AllOf(HasSubstr(path("run") + " is not empty"), HasSubstr("notes.txt"), HasSubstr("--resume")));
  EXPECT_EQ(contents("run/notes.txt"), "mine");
}

TEST_F(TrainTest, WhatMayNotBeWrittenOrReadIsOneClearError) {
  const auto run = [&](const Arguments& more, const std::string& out = "closed/run") {
    Process process = command(out, more);
    process.argv = obeying_file_modes(process.argv);
    return testing::run_process(process);
  };
  disk::make_directory(path("closed"));
  ::chmod(path("closed").c_str(), 0555);
  const ProcessResult closed = run({});
  EXPECT_EQ(closed.code, 5);
  EXPECT_THAT(closed.err,
              AllOf(HasSubstr("error: cannot create " + path("closed/run")), HasSubstr("Permission denied")));
  EXPECT_EQ(lines_of(closed.err).size(), 1u) << closed.err;

  disk::make_directory(path("closed_run"));
  ::chmod(path("closed_run").c_str(), 0555);
  Process into_closed = command("closed_run", {});
  into_closed.argv = obeying_file_modes(into_closed.argv);
  EXPECT_THAT(testing::run_process(into_closed).err,
              HasSubstr("closed_run/lock: Permission denied: choose a directory"));

  ::chmod(path("closed").c_str(), 0755);
  ASSERT_EQ(run({}).code, 0);
  disk::remove(path("closed/run/model.safetensors"));
  ::chmod(path("closed/run").c_str(), 0555);
  const ProcessResult resumed = run({"--resume"});
  EXPECT_EQ(resumed.code, 5) << resumed.out;
  EXPECT_THAT(resumed.err, AllOf(HasSubstr(path("closed/run")), HasSubstr("Permission denied")));
  EXPECT_EQ(lines_of(resumed.err).size(), 1u) << resumed.err;
  ::chmod(path("closed/run").c_str(), 0755);

  ::chmod(path("train.csv").c_str(), 0);
  const ProcessResult unreadable = run({"--resume"});
  EXPECT_EQ(unreadable.code, 3);
  EXPECT_THAT(unreadable.err, AllOf(HasSubstr(path("train.csv")), HasSubstr("Permission denied")));
  EXPECT_EQ(lines_of(unreadable.err).size(), 1u) << unreadable.err;
}

TEST_F(TrainTest, ACacheThatMayNotBeWrittenIsDoneWithout) {
  const std::string expected = bundle("reference");
  disk::make_directory(path("cache"));
  ::chmod(path("cache").c_str(), 0555);
  Process process = command("run", {"--set", "data.cache=" + path("cache")});
  process.argv = obeying_file_modes(process.argv);
  const ProcessResult r = testing::run_process(process);
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, AllOf(HasSubstr("kept in memory, not in the cache"), HasSubstr("Permission denied")));
  EXPECT_TRUE(disk::list(path("cache")).empty());
}

TEST_F(TrainTest, AMistakeInTheDataLeavesTheDirectoryFree) {
  disk::Output(path("train.csv")).write("user,items,price,day,click,buy\nu1,i1,cheap,3,1,0\n");
  const ProcessResult r = train("run");
  EXPECT_EQ(r.code, 3);
  EXPECT_THAT(r.err, HasSubstr("cheap"));
  disk::Output(path("train.csv")).write(tiny_log(400, 1));
  EXPECT_EQ(train("run").code, 0);
}

TEST_F(TrainTest, ResumeWithoutACheckpointStartsFresh) {
  const ProcessResult r = train("run", {"--resume"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, Not(HasSubstr("resumed")));
  EXPECT_EQ(contents("run/model.safetensors"), bundle("other"));
}

TEST_F(TrainTest, AFinishedRunIsLeftAndAnotherConfigRefused) {
  const std::string expected = bundle("run"), log = contents("run/metrics.jsonl");
  const ProcessResult again = train("run", {"--resume"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("is finished"));
  EXPECT_EQ(contents("run/model.safetensors"), expected);
  EXPECT_EQ(contents("run/metrics.jsonl"), log);
  const ProcessResult changed = train("run", {"--resume", "--set", "train.dense_optimizer.lr=0.5"});
  EXPECT_EQ(changed.code, 2);
  EXPECT_THAT(changed.err, AllOf(HasSubstr("train.dense_optimizer.lr: 0.001, now 0.5"), HasSubstr("another --out")));
  const ProcessResult more = train("run", {"--resume", "--set", "train.dense_optimizer.lr=0.5", "--seed", "9"});
  EXPECT_THAT(more.err, HasSubstr("another config: seed: 1, now 9; train.dense_optimizer.lr: 0.001, now 0.5. Resume"));
  EXPECT_EQ(train("run", {"--resume", "--threads", "3"}).code, 0) << "threads are no part of the model";
}

TEST_F(TrainTest, AnotherConfigIsRefusedByTheCheckpointAlone) {
  bundle("run");
  disk::remove(path("run/model.safetensors"));
  disk::remove(path("run/config.resolved.yaml"));
  const ProcessResult r = train("run", {"--resume", "--seed", "9"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("seed: 1, now 9"));
}

TEST_F(TrainTest, OtherRowsOfAnyPartAreRefused) {
  disk::Output(path("test.csv")).write(tiny_log(150, 4));
  const std::string test = "data.test=" + path("test.csv");
  const std::string expected = bundle("run", {"--set", test});
  disk::remove(path("run/model.safetensors"));
  const std::pair<const char*, const char*> parts[] = {{"train.csv", "training data (data.train)"},
                                                       {"valid.csv", "validation data (data.valid)"},
                                                       {"test.csv", "test data (data.test)"}};
  for (const auto& [file, name] : parts) {
    const std::string before = contents(file);
    disk::Output(path(file)).write(tiny_log(400, 5));
    disk::Output(path("run/env.json")).write("as it was");
    const std::string config = contents("run/config.resolved.yaml");
    const ProcessResult r = train("run", {"--resume", "--set", test, "--threads", "3"});
    EXPECT_EQ(contents("run/env.json"), "as it was");
    EXPECT_EQ(contents("run/config.resolved.yaml"), config);
    EXPECT_EQ(r.code, 3) << file;
    EXPECT_THAT(r.err, AllOf(HasSubstr(std::string("the ") + name + " is not what this run was started on"),
                             HasSubstr("init_from")));
    disk::Output(path(file)).write(before);
  }
  EXPECT_EQ(bundle("run", {"--resume", "--set", test}), expected) << "as it was, it goes on";
}

TEST_F(TrainTest, ARunKilledBeforeItsBundleIsTestedOnce) {
  const std::string expected = bundle("run");
  disk::remove(path("run/model.safetensors"));
  const ProcessResult r = train("run", {"--resume"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("resumed at step 32"));
  EXPECT_EQ(contents("run/model.safetensors"), expected);
  const std::vector<Json> all = metrics("run");
  EXPECT_EQ(std::count_if(all.begin(), all.end(), [](const Json& j) { return j.value("split", "") == "test"; }), 1);
}

TEST_F(TrainTest, ASecondTrainerExitsWithTheOwnersPid) {
  Child first(command("run", {"--set", "train.epochs=100000"}), path("run.log"));
  while (first.running() && checkpoints("run").empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const std::string pid = lines_of(contents("run/lock")).at(0);
  for (const Arguments& more : {Arguments{}, Arguments{"--resume"}}) {
    const ProcessResult second = train("run", more);
    EXPECT_EQ(second.code, 7);
    EXPECT_THAT(second.err, HasSubstr("process " + pid + " holds"));
  }
  first.signal(SIGTERM);
  EXPECT_EQ(first.wait(), 143);
}

TEST_F(TrainTest, InterruptedAndResumedGivesTheSameBundle) {
  const Arguments longer = {"--set", "train.epochs=60", "--set", "eval.metrics=[logloss]"};
  const std::string expected = bundle("reference", longer);
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    const std::string run = "run" + std::to_string(code);
    ASSERT_EQ(interrupted(run, longer, signal, [&] { return !checkpoints(run).empty(); }), code)
        << contents(run + ".log");
    EXPECT_FALSE(disk::is_file(path(run + "/model.safetensors")));
    const int64_t step = newest_state(run)["step"];
    EXPECT_THAT(contents(run + ".log"), HasSubstr("stopped by a signal after step " + std::to_string(step)));
    Arguments resume = longer;
    resume.push_back("--resume");
    const ProcessResult r = train(run, resume);
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_THAT(r.out, HasSubstr("resumed at step " + std::to_string(step)));
    EXPECT_EQ(contents(run + "/model.safetensors"), expected);
  }
}

TEST_F(TrainTest, ASignalCutsAnEvaluationShortAndTheResumedRunBeginsWithIt) {
  // One step, then an evaluation that takes far longer: nearly every moment is in one.
  const Arguments slow = {"--set", "train.batch_size=400", "--set", "train.epochs=6",
                          "--set", "eval.batch_size=1",    "--set", "eval.metrics=[logloss]"};
  const std::string expected = bundle("reference", slow);
  Arguments resume = slow;
  resume.push_back("--resume");
  bool seen = false;
  for (int i = 0; i < 200 && !seen; ++i) {
    const std::string run = "run" + std::to_string(i), log = path(run + "/metrics.jsonl");
    interrupted(run, slow, SIGTERM, [&] { return disk::is_file(log) && !contents(run + "/metrics.jsonl").empty(); });
    if (checkpoints(run).empty() || !newest_state(run)["evaluation_due"]) continue;
    seen = true;
    EXPECT_EQ(bundle(run, resume), expected);
    const auto evaluations = [&](const std::string& name) {
      std::vector<Json> found;
      for (const Json& line : metrics(name))
        if (line["event"] == "eval") found.push_back(line);
      return found;
    };
    EXPECT_EQ(evaluations(run), evaluations("reference"));
  }
  EXPECT_TRUE(seen) << "no signal hit an evaluation";
}

/// A model whose steps and checkpoints take long enough to be hit by a second signal.
const Arguments kLarge = {"--set", "model.experts.hidden=[2000, 1000]",
                          "--set", "train.batch_size=400",
                          "--set", "train.epochs=3",
                          "--set", "eval.every=10 epochs",
                          "--set", "eval.best=null"};

TEST_F(TrainTest, ASecondSignalEndsTheRunBeforeItsStepIsDone) {
  const std::string expected = bundle("reference", kLarge);
  Arguments resume = kLarge;
  resume.push_back("--resume");
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    bool seen = false;
    for (int i = 0; i < 20 && !seen; ++i) {
      const std::string run = "run" + std::to_string(code) + "_" + std::to_string(i), log = run + ".log";
      Child child(command(run, kLarge), path(log));
      while (child.running() && contents(log).find("step 1/3") == std::string::npos)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      child.signal(signal);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      child.signal(signal);
      EXPECT_EQ(child.wait(), code);
      // On a busy machine the step may have ended, and the checkpoint begun, before the second one came.
      if (disk::is_directory(path(run + "/checkpoints"))) continue;
      EXPECT_THAT(contents(log), Not(HasSubstr("stopped by a signal"))) << "that comes after the checkpoint";
      EXPECT_EQ(bundle(run, resume), expected);
      seen = true;
    }
    EXPECT_TRUE(seen) << "no second signal " << signal << " came while the step ran";
  }
}

TEST_F(TrainTest, ASecondSignalDoesNotWaitForTheCheckpoint) {
  const std::string expected = bundle("reference", kLarge);
  Arguments resume = kLarge;
  resume.push_back("--resume");
  bool seen = false;
  for (int i = 0; i < 50 && !seen; ++i) {
    const std::string run = "run" + std::to_string(i), saved = path(run + "/checkpoints");
    Child child(command(run, kLarge), path(run + ".log"));
    while (child.running() && contents(run + ".log").find("step 1/3") == std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    child.signal(SIGTERM);
    while (child.running() && (!disk::is_directory(saved) || disk::list(saved).empty())) std::this_thread::yield();
    child.signal(SIGTERM);
    EXPECT_EQ(child.wait(), 143);
    if (!checkpoints(run).empty()) continue;
    ASSERT_EQ(disk::list(saved).size(), 1u);
    EXPECT_THAT(disk::list(saved)[0], ::testing::StartsWith("partial-"));
    EXPECT_THAT(contents(run + ".log"), Not(HasSubstr("stopped by a signal")));
    EXPECT_EQ(bundle(run, resume), expected);
    for (const std::string& name : disk::list(saved)) EXPECT_THAT(name, Not(::testing::StartsWith("partial-")));
    seen = true;
  }
  EXPECT_TRUE(seen) << "no signal hit a checkpoint";
}

TEST_F(TrainTest, ASignalWhileDataIsReadEndsTheRun) {
  disk::Output(path("train.csv")).write(tiny_log(100000, 1));
  const int code =
      interrupted("run", {"--set", "train.epochs=100000"}, SIGTERM, [&] { return disk::is_file(path("run/lock")); });
  EXPECT_EQ(code, 143);
  EXPECT_TRUE(checkpoints("run").empty()) << "nothing was trained yet";
  EXPECT_EQ(train("run", {"--set", "train.max_steps=1"}).code, 0) << "the directory is still free";
}

TEST_F(TrainTest, AWarmUpLongerThanTheRunIsAWarning) {
  const ProcessResult r = train("run", {"--set", "train.max_steps=3", "--set", "train.schedule.warmup_steps=3"});
  EXPECT_EQ(r.out.find("warm-up"), std::string::npos) << r.out;
  const ProcessResult longer =
      train("longer", {"--set", "train.epochs=1", "--set", "train.schedule.warmup_steps=100000"});
  EXPECT_EQ(longer.code, 0) << longer.err;
  EXPECT_NE(longer.out.find("warning: the warm-up of 100000 steps is longer than the run"), std::string::npos);
}

TEST_F(TrainTest, EvaluationsByTheClockAreRefused) {
  const ProcessResult r = train("run", {"--set", "eval.every=90 seconds"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, AllOf(HasSubstr("--set:1:12"), HasSubstr("`90 seconds` would make the result depend on the "
                                                              "machine's speed")));
}

TEST_F(TrainTest, ALossThatIsNotFiniteStopsTheRun) {
  std::string log = tiny_log(400, 1);
  log += "400,u1,i1,3e38,3,1,0\n";  // no float is as large as its square
  disk::Output(path("train.csv")).write(log);
  const ProcessResult r = train("run", {"--set", "features.price={type: dense}"});
  EXPECT_EQ(r.code, 6);
  EXPECT_THAT(r.err, AllOf(ContainsRegex("step [1-9]: the loss of task `click` is not finite"),
                           HasSubstr("first seen in `cross"), ContainsRegex("samples [0-9]+ to [0-9]+ of the run"),
                           HasSubstr("smaller learning rate")));
  EXPECT_FALSE(disk::is_file(path("run/model.safetensors")));
}

TEST_F(TrainTest, AGradientTooLargeToBeSummedNamesItsFeature) {
  const ProcessResult r = train("run", {"--set", "train.dense_optimizer={type: sgd, lr: 1000}"});
  EXPECT_EQ(r.code, 6);
  EXPECT_THAT(r.err, ContainsRegex("step [0-9]+: the gradient of .*sample.* of the run"));
}

TEST_F(TrainTest, AJobOverItsMemoryIsRefusedWithTheNumbers) {
  const ProcessResult r = train("run", {"--set", "train.memory=1MiB"});
  EXPECT_EQ(r.code, 5);
  EXPECT_THAT(r.err,
              AllOf(HasSubstr("this job needs about "), HasSubstr("1.0 MiB are free"), HasSubstr("train.memory")));
  EXPECT_FALSE(disk::is_file(path("run/metrics.jsonl")));
  EXPECT_EQ(train("run").code, 0) << "the directory is still free";
}

TEST_F(TrainTest, AWarmStartReportsAndIsPartOfTheRun) {
  bundle("first");
  const Arguments warm = {
      "--set", "train.init_from=" + path("first"), "--set", "model.cross.layers=3", "--set", "tasks.click.weight=2"};
  const ProcessResult r = train("second", warm);
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, AllOf(HasSubstr("warm start from " + path("first/model.safetensors")), HasSubstr("table item: "),
                           HasSubstr("new here: 2: cross/2/")));
  const std::string expected = contents("second/model.safetensors");
  EXPECT_NE(expected, bundle("cold", {warm.begin() + 2, warm.end()}));
  EXPECT_THAT(expected, Not(HasSubstr(path("first")))) << "a bundle names no path";

  ASSERT_EQ(interrupted("third", warm, SIGTERM, [&] { return !checkpoints("third").empty(); }), 143);
  disk::remove(path("first"));
  Arguments resume = warm;
  resume.push_back("--resume");
  const ProcessResult resumed = train("third", resume);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, Not(HasSubstr("warm start")));
  EXPECT_EQ(contents("third/model.safetensors"), expected);
  resume[1] = "train.init_from=" + path("elsewhere");
  EXPECT_THAT(train("third", resume).err, HasSubstr("train.init_from: "));
}

TEST_F(TrainTest, AWarmStartFromACheckpointIsThatFromItsBundle) {
  const Arguments last = {"--set", "eval.best=null"};
  bundle("first", last);
  const auto from = [&](const std::string& source) {  // whose columns lie in another order
    return Arguments{"--set", "model.cross.from=[day, price, items, user]", "--set", "train.init_from=" + source};
  };
  const std::string expected = bundle("second", from(path("first")));
  const std::string checkpoint = path("first/checkpoints/" + checkpoints("first").back());
  EXPECT_EQ(bundle("third", from(checkpoint)), expected);
  disk::remove(path("first/model.safetensors"));
  const ProcessResult r = train("fourth", from(path("first")));
  EXPECT_THAT(r.out, AllOf(HasSubstr("warm start from " + checkpoint), HasSubstr("dropped: 0\n")));
  EXPECT_EQ(contents("fourth/model.safetensors"), expected);
}

TEST_F(TrainTest, FeaturesMayBeCalledAsOptimisersStates) {
  const Arguments features = {"--set", "features.user#m={type: id, column: day}", "--set", "train.max_steps=9"};
  const std::string undisturbed = bundle("whole", features);
  ASSERT_NE(undisturbed, "");
  disk::remove(path("whole/model.safetensors"));
  Arguments resumed = features;
  resumed.push_back("--resume");
  EXPECT_EQ(bundle("whole", resumed), undisturbed);
  for (const std::string& from : Arguments{"whole", "whole/checkpoints/" + checkpoints("whole").back()}) {
    Arguments warm = features;
    warm.insert(warm.end(), {"--set", "train.init_from=" + path(from)});
    const ProcessResult r = train(from == "whole" ? "warm" : "warmer", warm);
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_THAT(r.out, HasSubstr("table user#m: "));
    EXPECT_THAT(r.out, HasSubstr("new here: 0\n"));
  }
}

TEST_F(TrainTest, AWarmStartFromNothingIsRefused) {
  const ProcessResult r = train("run", {"--set", "train.init_from=" + path("nowhere")});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("train.init_from: there is no `" + path("nowhere")));
}

}  // namespace
}  // namespace mtrank
