#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <numeric>

#include "framework/core/hash.h"
#include "framework/embedding/accelerator.h"
#include "framework/train/accelerated_device.h"
#include "framework/train/train_device.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#ifdef MTRANK_EMULATED
#include <cublasLt.h>

#include "tests/emulator/emulator.h"
#endif

/// What tests of whole jobs share.
namespace mtrank {

constexpr int64_t kRows = 70, kBatch = 16;

/// ‖a - b‖ / ‖b‖.
inline double distance(const float* a, const float* b, int64_t n) {
  double difference = 0, size = 0;
  for (int64_t i = 0; i < n; ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / std::max(size, 1e-30));
}

class CudaJob : public TempDirTest {
 protected:
  void SetUp() override {
    std::string why;
    if (!accelerator_present(&why)) GTEST_SKIP() << why;
    disk::Output(path("train.csv")).write(tiny_log(kRows, 1));
    use({});
    ids_per_row_ = {{"items", 2}};
  }
  void use(const TinyParts& parts) {
    model_ = std::make_unique<TinyModel>(path("train.csv"), "{metrics: [auc, logloss]}", parts);
    model_->config.train.batch_size = kBatch;
  }

  /// A device with a state of its own, that has trained for some steps.
  struct Run {
    Run(CudaJob& test, DeviceKind kind, LaunchOptions launch = {})
        : test_(test),
          config_(test.model_->config),
          graphs_(build_graphs(config_, table_rows(test.model_->data->transforms()))) {
      config_.train.device = kind;
      state_ = std::make_unique<ModelState>(config_, graphs_.training);
      device_ = open_train_device(
          {config_, graphs_, test.model_->data->schema(), *state_, test.pool_, shards(), test.ids_per_row_, launch});
      device_->initialize(static_cast<uint64_t>(config_.seed));
      source_ = test.model_->data->train({.batch_size = kBatch, .shuffle = true, .seed = 1});
    }
    /// Losses of `steps` more steps, task by task.
    std::vector<double> train(int steps) {
      std::vector<double> losses;
      int under_way = 0;
      const auto collect = [&] {
        const StepResult result = device_->collect();
        losses.insert(losses.end(), result.loss.begin(), result.loss.end());
        norms_.push_back(result.gradient_norm);
        --under_way;
      };
      for (int i = 0; i < steps; ++i) {
        next();
        device_->submit(batch_, ++step_, 1);
        if (++under_way == device_->depth()) collect();
      }
      while (under_way) collect();
      return losses;
    }
    void next() {
      while (!source_->next(batch_)) source_->seek(++epoch_, 0);
    }
    /// What its device was opened for.
    AcceleratorJob job() {
      return accelerator_job(
          {config_, graphs_, test_.model_->data->schema(), *state_, test_.pool_, shards(), test_.ids_per_row_});
    }
    int shards() const { return config_.train.shards(true); }
    uint64_t hash() {
      device_->download();
      Xxh64 hash;
      for (const TensorSource& tensor : state_->everything())
        write_tensor(tensor, [&](const void* data, size_t size) { hash.add(data, size); });
      return hash.value();
    }

    CudaJob& test_;
    Config config_;
    Graphs graphs_;
    std::unique_ptr<ModelState> state_;
    std::unique_ptr<TrainDevice> device_;
    std::unique_ptr<BatchSource> source_;
    Batch batch_;
    int64_t step_ = 0, epoch_ = 0;
    std::vector<double> norms_;
  };

  /// Losses and weights of some steps on both devices.
  void expect_like_cpu(double loss_bound, double weight_bound, int steps = 12) {
    Precision precision = model_->config.train.precision;
    model_->config.train.precision = Precision::fp32;
    Run cpu(*this, DeviceKind::cpu);
    model_->config.train.precision = precision;
    Run cuda(*this, DeviceKind::cuda);
    if (precision == Precision::fp32) {
      EXPECT_EQ(cuda.hash(), cpu.hash()) << "initial weights and state are the same bits";
    }
    const std::vector<double> expected = cpu.train(steps), actual = cuda.train(steps);
    ASSERT_EQ(expected.size(), actual.size());
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(actual[i], expected[i], loss_bound * std::abs(expected[i])) << "loss " << i;
    for (size_t i = 0; i < cpu.norms_.size(); ++i)
      EXPECT_NEAR(cuda.norms_[i], cpu.norms_[i], 100 * loss_bound * cpu.norms_[i]) << "norm of step " << i;
    cuda.device_->download();
    const auto on_cpu = cpu.state_->everything(), on_gpu = cuda.state_->everything();
    for (size_t t = 0; t < on_cpu.size(); ++t) {
      // A ReLU's input that bf16 moves across 0 changes a small layer's gradient, and its square, by as much as it is.
      if (precision == Precision::bf16 && on_cpu[t].name.find('#') != std::string::npos) continue;
      const int64_t n =
          std::accumulate(on_cpu[t].shape.begin(), on_cpu[t].shape.end(), int64_t{1}, std::multiplies<>());
      EXPECT_LE(distance(static_cast<const float*>(on_gpu[t].data), static_cast<const float*>(on_cpu[t].data), n),
                weight_bound)
          << on_cpu[t].name;
    }
  }

  /// ReLU layers that are fused, alone and side by side, beside others that are not; cross layers; two losses.
  void use_wide_relus() {
    use({.model = "{cross: {type: dcn_v2, from: features, layers: 2}, "
                  "bottom: {type: mlp, from: cross, hidden: [24, 130, 9]}, "
                  "experts: {type: mmoe, from: bottom, experts: 2, hidden: [128, 128, 8]}}",
         .tasks = "{click: {tower: {hidden: [20, 12]}}, buy: {only_when: click == 1, tower: {hidden: [12, 3]}}}"});
  }
  /// Steps that fuse against steps that do not. A library on a GPU may choose other algorithms for them.
  void expect_like_unfused(double bound) {
#ifdef MTRANK_EMULATED
    emulator::Settings library = emulator::settings();
    library.refused = {CUBLASLT_EPILOGUE_BGRADA};  // it adds in an order of its own
    const emulator::WithSettings with(library);
#endif
    for (const bool graph : {true, false}) {
      Run fused(*this, DeviceKind::cuda, {.graph = graph}),
          plain(*this, DeviceKind::cuda, {.graph = graph, .fuse = false});
      const std::vector<double> actual = fused.train(4), expected = plain.train(4);
      ASSERT_EQ(actual.size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR(actual[i], expected[i], bound * std::abs(expected[i])) << "loss " << i;
#ifdef MTRANK_EMULATED
      EXPECT_EQ(actual, expected);
      EXPECT_EQ(fused.hash(), plain.hash());
      EXPECT_THAT(fused.device_->algorithms(), ::testing::HasSubstr("\"bias_relu_signs\""));
#endif
      EXPECT_THAT(fused.device_->algorithms(), ::testing::HasSubstr("\"relu_gradient\""));
      EXPECT_THAT(plain.device_->algorithms(), ::testing::Not(::testing::HasSubstr("\"relu_gradient\"")));
    }
  }

  ThreadPool pool_{2};
  std::unique_ptr<TinyModel> model_;
  std::map<std::string, double> ids_per_row_;
};

}  // namespace mtrank
