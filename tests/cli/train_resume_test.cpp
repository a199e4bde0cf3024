#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/cli/train_testing.h"

namespace mtrank {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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
  wait_for(first, [&] { return !checkpoints("run").empty(); });
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
    const ProcessResult r = train(run, resuming(longer));
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
  bool seen = false;
  for (int i = 0; i < 200 && !seen; ++i) {
    const std::string run = "run" + std::to_string(i), log = path(run + "/metrics.jsonl");
    interrupted(run, slow, SIGTERM, [&] { return disk::is_file(log) && !contents(run + "/metrics.jsonl").empty(); });
    if (checkpoints(run).empty() || !newest_state(run)["evaluation_due"]) continue;
    seen = true;
    EXPECT_EQ(bundle(run, resuming(slow)), expected);
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
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    bool seen = false;
    for (int i = 0; i < 20 && !seen; ++i) {
      const std::string run = "run" + std::to_string(code) + "_" + std::to_string(i), log = run + ".log";
      Child child(command(run, kLarge), path(log));
      wait_for(child, [&] { return contents(log).find("step 1/3") != std::string::npos; });
      child.signal(signal);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      child.signal(signal);
      EXPECT_EQ(child.wait(), code);
      // On a busy machine the step may have ended, and the checkpoint begun, before the second one came.
      if (disk::is_directory(path(run + "/checkpoints"))) continue;
      EXPECT_THAT(contents(log), Not(HasSubstr("stopped by a signal"))) << "that comes after the checkpoint";
      EXPECT_EQ(bundle(run, resuming(kLarge)), expected);
      seen = true;
    }
    EXPECT_TRUE(seen) << "no second signal " << signal << " came while the step ran";
  }
}

TEST_F(TrainTest, ASecondSignalDoesNotWaitForTheCheckpoint) {
  const std::string expected = bundle("reference", kLarge);
  bool seen = false;
  for (int i = 0; i < 50 && !seen; ++i) {
    const std::string run = "run" + std::to_string(i), saved = path(run + "/checkpoints");
    Child child(command(run, kLarge), path(run + ".log"));
    wait_for(child, [&] { return contents(run + ".log").find("step 1/3") != std::string::npos; });
    child.signal(SIGTERM);
    while (child.running() && (!disk::is_directory(saved) || disk::list(saved).empty())) std::this_thread::yield();
    child.signal(SIGTERM);
    EXPECT_EQ(child.wait(), 143);
    if (!checkpoints(run).empty()) continue;
    ASSERT_EQ(disk::list(saved).size(), 1u);
    EXPECT_THAT(disk::list(saved)[0], ::testing::StartsWith("partial-"));
    EXPECT_THAT(contents(run + ".log"), Not(HasSubstr("stopped by a signal")));
    EXPECT_EQ(bundle(run, resuming(kLarge)), expected);
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

}  // namespace
}  // namespace mtrank
