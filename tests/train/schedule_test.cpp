#include "framework/train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mtrank {
namespace {

Schedule make(ScheduleKind type, int64_t warmup = 0, double floor = 0) {
  Schedule s;
  s.type = type;
  s.warmup_steps = warmup;
  s.floor = floor;
  return s;
}

TEST(Schedule, ConstantWarmsUpFromZero) {
  const Schedule s = make(ScheduleKind::constant, 4);
  EXPECT_EQ(schedule_factor(s, 1, 100), 0.25);
  EXPECT_EQ(schedule_factor(s, 3, 100), 0.75);
  EXPECT_EQ(schedule_factor(s, 4, 100), 1);
  EXPECT_EQ(schedule_factor(s, 1000, 100), 1);
  EXPECT_EQ(schedule_factor(make(ScheduleKind::constant), 1, 100), 1);
}

TEST(Schedule, StepFallsEverySoManySteps) {
  Schedule s = make(ScheduleKind::step);
  s.every = 10, s.factor = 0.5;
  EXPECT_EQ(schedule_factor(s, 10, 100), 1);
  EXPECT_EQ(schedule_factor(s, 11, 100), 0.5);
  EXPECT_EQ(schedule_factor(s, 31, 100), 0.125);
  s.warmup_steps = 20;
  EXPECT_EQ(schedule_factor(s, 19, 100), 0.95);
  EXPECT_EQ(schedule_factor(s, 20, 100), 0.5) << "steps count from the run's first";
  s.factor = 0.1;
  EXPECT_GE(schedule_factor(s, 1'000'000'000'000, 100), 0);  // in no time
}

TEST(Schedule, LinearAndCosineEndAtTheFloor) {
  const Schedule linear = make(ScheduleKind::linear, 20, 0.1), cosine = make(ScheduleKind::cosine, 20, 0.1);
  EXPECT_EQ(schedule_factor(linear, 20, 120), 1);
  EXPECT_DOUBLE_EQ(schedule_factor(linear, 70, 120), 0.55);
  EXPECT_DOUBLE_EQ(schedule_factor(linear, 120, 120), 0.1);
  EXPECT_DOUBLE_EQ(schedule_factor(linear, 500, 120), 0.1);
  for (int64_t step = 20; step <= 120; ++step) {
    const double x = static_cast<double>(step - 20) / 100;
    EXPECT_NEAR(schedule_factor(cosine, step, 120), 0.1 + 0.9 * (1 + std::cos(M_PI * x)) / 2, 1e-15) << step;
  }
}

TEST(Schedule, DecayStepsReplaceTheRunsLength) {
  Schedule s = make(ScheduleKind::linear);
  s.decay_steps = 50;
  EXPECT_DOUBLE_EQ(schedule_factor(s, 25, 1000), 0.5);
  EXPECT_EQ(schedule_factor(s, 50, 1000), 0);
}

/// A warm-up longer than the run never decays below what it reached.
TEST(Schedule, WarmUpLongerThanTheRun) {
  const Schedule s = make(ScheduleKind::cosine, 200);
  EXPECT_EQ(schedule_factor(s, 50, 100), 0.25);
  EXPECT_EQ(schedule_factor(s, 100, 100), 0.5);
}

}  // namespace
}  // namespace mtrank
