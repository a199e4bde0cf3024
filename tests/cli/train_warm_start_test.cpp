#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/cli/train_testing.h"

namespace mtrank {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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
  Arguments resume = resuming(warm);
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
  EXPECT_EQ(bundle("whole", resuming(features)), undisturbed);
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
