#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>

#include "framework/embedding/accelerator.h"
#include "framework/serving/safetensors.h"
#include "tests/cli/train_testing.h"
#include "tests/support/file_modes.h"

namespace mtrank {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

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

TEST_F(TrainTest, ShortFormsOfKeysAreReadAsTheKeys) {
  ASSERT_EQ(train("run", {"--seed", "010", "--threads", "0x1"}).code, 0);
  EXPECT_THAT(contents("run/config.resolved.yaml"), HasSubstr("seed: 10\n"));
  for (const char* seed : {"9223372036854775808", "18446744073709551616", "1_000", "x", ""}) {
    const ProcessResult r = train("other", {"--seed", seed});
    EXPECT_EQ(r.code, 2) << seed << r.out;
    EXPECT_THAT(r.err, HasSubstr("seed=")) << seed;
  }
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

}  // namespace
}  // namespace mtrank
