#include "framework/train/run_log.h"

#include <gtest/gtest.h>

namespace mtrank {
namespace {

/// Times are exact in binary, so are the results.
TEST(StepWindow, TellsMeansAndSharesSinceItsStart) {
  StepWindow window;
  window.restart(100, 3);
  window.add(256, {0.5, 0.25});
  window.add(128, {1.5, 0.75});
  window.take_out(2);  // an evaluation
  EXPECT_EQ(window.steps(), 2);
  TrainProgress progress;
  progress.step = 10, progress.total_steps = 20;
  window.describe({"click", "buy"}, 106, 4, progress);
  EXPECT_EQ(progress.samples_per_s, 384 / 4.0);
  EXPECT_EQ(progress.data_wait, 1 / 4.0);
  EXPECT_EQ(progress.seconds_left, 10 * 4 / 2.0);
  EXPECT_EQ(progress.loss, (std::vector<std::pair<std::string, double>>{{"click", 1.0}, {"buy", 0.5}}));

  window.restart(106, 4);
  EXPECT_EQ(window.steps(), 0);
  window.add(64, {2, 2});
  progress = {};
  window.describe({"click", "buy"}, 107, 4, progress);
  EXPECT_EQ(progress.samples_per_s, 64);
  EXPECT_EQ(progress.data_wait, 0);
  EXPECT_EQ(progress.loss[0].second, 2);
}

TEST(StepWindow, TheShareLostToDataIsAShare) {
  StepWindow window;
  window.restart(0, 0);
  window.add(1, {1});
  TrainProgress progress;
  window.describe({"click"}, 1, 1.5, progress);  // a step waited before the window began
  EXPECT_EQ(progress.data_wait, 1);
}

}  // namespace
}  // namespace mtrank
