#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "framework/core/error.h"
#include "framework/core/hash.h"
#include "framework/train/step.h"
#include "framework/train/train_setup.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

/// A loss or a gradient that is not finite stops the step before anything changes.
namespace mtrank {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kRows = 64;

class NonFinite : public TempDirTest {
 protected:
  void SetUp() override {
    disk::Output(path("train.csv")).write(tiny_log(kRows, 1));
    model_ = std::make_unique<TinyModel>(path("train.csv"));
    model_->config.train.batch_size = kRows;
    graphs_ = build_graphs(model_->config, table_rows(model_->data->transforms()));
    state_ = std::make_unique<ModelState>(model_->config, graphs_.training);
    state_->initialize(pool_, 1);
    step_ = std::make_unique<TrainStep>(model_->config, graphs_.training, model_->data->schema(), *state_, pool_, 8);
    model_->data->train({.batch_size = kRows})->next(batch_);
    step_->run(batch_, 1, 1);
  }

  /// Of weights, tables and optimisers.
  uint64_t hash() const {
    Xxh64 hash;
    for (const TensorSource& tensor : state_->everything())
      write_tensor(tensor, [&](const void* data, size_t size) { hash.add(data, size); });
    return hash.value();
  }
  float* weight(const std::string& name) const { return state_->weights() + state_->layout().find(name)->offset; }

  /// The message of step 2, which must fail and leave everything as it was.
  std::string failure() {
    const uint64_t before = hash();
    std::string message = "the step was taken";
    try {
      step_->run(batch_, 2, 1);
    } catch (const NonFiniteError& e) {
      message = e.what();
    }
    EXPECT_EQ(hash(), before);
    return message;
  }

  ThreadPool pool_{2};
  std::unique_ptr<TinyModel> model_;
  Graphs graphs_;
  std::unique_ptr<ModelState> state_;
  std::unique_ptr<TrainStep> step_;
  Batch batch_;
};

TEST_F(NonFinite, StepsChangeWhatTheHashCovers) {
  const uint64_t before = hash();
  step_->run(batch_, 2, 1);
  EXPECT_NE(hash(), before);
}

TEST_F(NonFinite, AShardWithoutRowsAddsNothingOfTheStepBefore) {
  Batch small;
  model_->data->train({.batch_size = 3})->next(small);
  TrainStep other(model_->config, graphs_.training, model_->data->schema(), *state_, pool_, 8);
  EXPECT_EQ(step_->run(small, 2, 0).loss, other.run(small, 2, 0).loss);
}

TEST_F(NonFinite, AWeightNamesItsLayer) {
  *weight("cross/0/w/weight") = std::numeric_limits<float>::infinity();
  EXPECT_THAT(failure(), AllOf(HasSubstr("step 2: "), HasSubstr("the loss of task `click` is not finite"),
                               HasSubstr("the loss of task `buy` is not finite"), HasSubstr("first seen in `cross/0"),
                               HasSubstr("samples 0 to 7 of the run"), HasSubstr("Nothing was changed")));
}

TEST_F(NonFinite, ATaskThatAloneFailsIsNamedAlone) {
  *weight("buy/logit/weight") = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(failure(), AllOf(HasSubstr("task `buy`"), ::testing::Not(HasSubstr("task `click`")),
                               HasSubstr("first seen in `buy/logit` (linear)")));
}

TEST_F(NonFinite, ASampleNamesItsShard) {
  batch_.dense[0][40] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(failure(), HasSubstr("samples 40 to 47 of the run"));
  batch_.dense[0][40] = 1;
  EXPECT_NO_THROW(step_->run(batch_, 2, 1)) << "a step that failed leaves nothing behind";
}

TEST_F(NonFinite, AGradientThatOverflowsCountsAsWell) {
  const ParameterLayout::Entry& entry = *state_->layout().find("click/logit/weight");
  for (int64_t i = 0; i < entry.size(); ++i) weight("click/logit/weight")[i] *= 1e6f;
  model_->config.tasks[0].weight = 3e38;
  EXPECT_THAT(failure(),
              AllOf(HasSubstr("step 2: the gradient of task `click` is not finite; first seen in the gradient of `"),
                    HasSubstr("samples 0 to 7 of the run"), ::testing::Not(HasSubstr("`buy` is not"))));
}

}  // namespace
}  // namespace mtrank
