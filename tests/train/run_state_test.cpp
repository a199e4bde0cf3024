#include "framework/train/run_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/core/error.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;

TEST(RunState, ReadsBackWhatWasWritten) {
  RunState state;
  state.step = 12;
  state.epoch = 3;
  state.sample = 400;
  state.logical_shards = 16;
  state.best = 0.1 + 0.2;
  state.best_step = 8;
  state.evaluations_since_best = 1;
  state.evaluation_due = state.done = true;
  state.device = "cpu";
  state.config = "seed: 1\n\"quoted\"";
  state.data_fingerprints = {{"train", "0123456789abcdef"}, {"test", "fedcba9876543210"}};
  state.features = "{}";
  const std::string text = to_json(state);
  const RunState again = run_state_from_json(text, "here");
  EXPECT_EQ(to_json(again), text);
  EXPECT_EQ(again.best, state.best) << "to the last bit";
  EXPECT_TRUE(again.evaluation_due && again.done);
}

TEST(RunState, DamageNamesTheCheckpointAndTheField) {
  std::string text = to_json({});
  text.replace(text.find("\"sample\""), 8, "\"simple\"");
  try {
    run_state_from_json(text, "runs/a/step-7");
    ADD_FAILURE();
  } catch (const FileError& e) {
    EXPECT_THAT(e.what(), ::testing::AllOf(HasSubstr("runs/a/step-7"), HasSubstr("sample")));
  }
}

TEST(RunState, ShardsThatCannotBeAreDamage) {
  for (const int64_t shards : {int64_t{-8}, int64_t{0}, int64_t{6}, int64_t{8192}, int64_t{1} << 40}) {
    RunState state;
    state.logical_shards = shards;
    try {
      run_state_from_json(to_json(state), "runs/a/step-7");
      ADD_FAILURE() << shards;
    } catch (const FileError& e) {
      EXPECT_THAT(e.what(),
                  HasSubstr("runs/a/step-7: its state.json is damaged: logical_shards is " + std::to_string(shards)));
    }
  }
}

TEST(RunState, NamesTheDataThatChanged) {
  RunState saved;
  saved.data_fingerprints = {{"train", "1"}, {"valid", "2"}, {"test", "3"}};
  EXPECT_NO_THROW(require_same_data(saved, saved));
  const auto message = [&](std::map<std::string, std::string> fingerprints) -> std::string {
    RunState now;
    now.data_fingerprints = std::move(fingerprints);
    try {
      require_same_data(saved, now);
    } catch (const DataError& e) {
      return e.what();
    }
    return "nothing";
  };
  EXPECT_THAT(message({{"train", "9"}, {"valid", "9"}, {"test", "9"}}), HasSubstr("the training data (data.train)"));
  EXPECT_THAT(message({{"train", "1"}, {"valid", "9"}, {"test", "3"}}),
              HasSubstr("the validation data (data.valid) is not what this run was started on: its fingerprint is 9, "
                        "the checkpoint has 2"));
  EXPECT_THAT(message({{"train", "1"}, {"valid", "2"}}), HasSubstr("the test data (data.test)"));
}

TEST(RunState, TakesTheBestAndCountsTheOthers) {
  RunState state;
  state.step = 1;
  EXPECT_TRUE(state.take_evaluation(0.6, MetricDirection::higher));
  state.step = 2;
  EXPECT_FALSE(state.take_evaluation(0.6, MetricDirection::higher)) << "as good is not better";
  EXPECT_FALSE(state.take_evaluation(std::nullopt, MetricDirection::higher)) << "undefined";
  EXPECT_EQ(state.evaluations_since_best, 2);
  EXPECT_EQ(state.best_step, 1);
  state.step = 3;
  EXPECT_TRUE(state.take_evaluation(0.7, MetricDirection::higher));
  EXPECT_EQ(state.best_step, 3);
  EXPECT_EQ(state.evaluations_since_best, 0);
}

}  // namespace
}  // namespace mtrank
