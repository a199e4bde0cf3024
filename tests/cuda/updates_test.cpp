#include "cuda/updates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "framework/embedding/init.h"
#include "framework/train/dense_optimizer.h"
#include "tests/cuda/device_array.h"

/// What ends a step on the GPU against the CPU.
namespace mtrank {
namespace {

using testing::DeviceArray;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> normal(int64_t n, const char* name, double deviation = 1) {
  std::vector<float> out(static_cast<size_t>(n));
  fill_weights({WeightInit::Kind::normal, deviation, 0}, Philox(1, "test", name), 0, n, out.data());
  return out;
}

class CudaUpdates : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::has_device()) GTEST_SKIP() << "no CUDA device";
  }
};

double norm_on_gpu(const std::vector<float>& x) {
  const DeviceArray<float> from(x);
  const DeviceArray<double> partial(cuda::kNormBlocks);
  cuda::squared_norm(nullptr, from.get(), static_cast<int64_t>(x.size()), partial.get());
  double sum = 0;
  for (const double p : partial.values()) sum += p;
  return sum;
}

TEST_F(CudaUpdates, TheNormIsThatOfTheCpu) {
  ThreadPool pool(1);
  for (const int64_t n : {4, 1000, 100'000, 1'200'000}) {
    std::vector<float> x = normal(n, "x");
    const double want = squared_norm(pool, x.data(), n);
    EXPECT_NEAR(norm_on_gpu(x), want, 1e-13 * want) << n;
    x[static_cast<size_t>(n - 1)] = kNan;
    EXPECT_TRUE(std::isnan(norm_on_gpu(x)));
  }
  EXPECT_NEAR(norm_on_gpu(std::vector<float>(8, 3e38f)), 8 * 9e76, 1e70);  // no overflow
}

/// A step's end with two losses, and two features of one table.
struct End {
  double norm = 4;
  std::vector<double> losses = {0.5, 0.25};
  std::vector<float> largest = {1, 2};
  uint32_t lookups = 9;
  float heaviest = 1;
  double clip = kInfinity;
  int shards = 1;
};

class Verdicts {
 public:
  cuda::Outcome operator()(const End& end) {
    std::vector<double> partial(cuda::kNormBlocks, 0);
    partial[3] = end.norm / 4;
    partial[1000] = end.norm / 4 * 3;
    std::vector<uint32_t> bits;
    for (const float x : end.largest) bits.push_back(math::detail::bits(x));
    const DeviceArray<double> device_partial(partial), losses(end.losses);
    const DeviceArray<uint32_t> largest(bits), table_of(std::vector<uint32_t>{0, 0}),
        lookups(std::vector<uint32_t>{end.lookups}), heaviest(std::vector<uint32_t>{math::detail::bits(end.heaviest)});
    const DeviceArray<cuda::Outcome> outcome(1);
    cuda::verdict(nullptr, device_partial.get(),
                  {losses.get(), static_cast<int>(end.losses.size()) / end.shards, end.shards},
                  {.largest = largest.get(),
                   .table_of = table_of.get(),
                   .lookups = lookups.get(),
                   .heaviest = heaviest.get(),
                   .features = 2},
                  end.clip, stopped_.get(), outcome.get());
    losses_ = losses.values();
    return outcome.values()[0];
  }
  /// As the last verdict left them.
  const std::vector<double>& losses() const { return losses_; }

 private:
  DeviceArray<uint32_t> stopped_{std::vector<uint32_t>{0}};
  std::vector<double> losses_;
};

TEST_F(CudaUpdates, AFiniteStepProceeds) {
  Verdicts verdict;
  const cuda::Outcome o = verdict({});
  EXPECT_EQ(o.finite, 1u);
  EXPECT_EQ(o.proceed, 1u);
  EXPECT_DOUBLE_EQ(o.norm_squared, 4);
  EXPECT_EQ(o.scale, 1.0f);
  EXPECT_EQ(verdict({.clip = 0.5}).scale, static_cast<float>(clip_factor(2, 0.5)));
  EXPECT_EQ(verdict({.clip = 10}).scale, 1.0f);
}

TEST_F(CudaUpdates, LossesOfShardsAreAddedByTheirTree) {
  Verdicts verdict;
  EXPECT_EQ(verdict({.losses = {1e16, 2, 1, 3, -1e16, 5, 1, 7}, .shards = 4}).finite, 1u);
  EXPECT_EQ(verdict.losses()[0], (1e16 + 1) + (-1e16 + 1));
  EXPECT_NE(verdict.losses()[0], 1e16 + 1 - 1e16 + 1);
  EXPECT_EQ(verdict.losses()[1], 17);
  EXPECT_EQ(verdict({.losses = {0, 0, kInfinity, 0}, .shards = 2}).finite, 0u);
}

TEST_F(CudaUpdates, AddsGradients) {
  std::vector<float> to(2052), from(2052);
  for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<float>(i), from[i] = 1 / static_cast<float>(i + 1);
  const DeviceArray<float> on_device(to), other(from);
  cuda::add_gradient(nullptr, on_device.get(), other.get(), 2048);
  const std::vector<float> sum = on_device.values();
  for (size_t i = 0; i < to.size(); ++i) ASSERT_EQ(sum[i], i < 2048 ? to[i] + from[i] : to[i]) << i;
  cuda::add_gradient(nullptr, on_device.get(), other.get(), 0);
}

TEST_F(CudaUpdates, WhatIsNotFiniteStopsThisStepAndAllThatFollow) {
  const std::vector<End> faults = {
      {.norm = kInfinity},     {.losses = {0, static_cast<double>(kNan)}},
      {.largest = {1, kNan}},  {.largest = {std::numeric_limits<float>::infinity(), 1}},
      {.largest = {1, 6e16f}},  // 9 lookups and one more, of weight 1: 1e18 / 20
      {.heaviest = kNan},      {.largest = {1, 1e10f}, .heaviest = 1e8f},
  };
  for (const End& end : faults) {
    Verdicts verdict;
    EXPECT_EQ(verdict({}).proceed, 1u);
    const cuda::Outcome o = verdict(end);
    EXPECT_EQ(o.finite, 0u);
    EXPECT_EQ(o.proceed, 0u);
    const cuda::Outcome later = verdict({});
    EXPECT_EQ(later.finite, 1u);
    EXPECT_EQ(later.proceed, 0u);
  }
  Verdicts verdict;
  EXPECT_EQ(verdict({.largest = {1, 4e16f}}).proceed, 1u);
}

TEST_F(CudaUpdates, EveryDenseOptimizerHasTheBitsOfTheCpu) {
  constexpr int64_t n = 5008;
  ThreadPool pool(1);
  for (const OptimizerInfo& info : optimizer_registry()) {
    if (!serves(info.use, OptimizerUse::dense)) continue;
    for (const double momentum : {0.0, 0.9}) {
      OptimizerSettings s(info.name, OptimizerUse::dense);
      s.weight_decay = 0.01;
      if (info.name == "sgd")
        s.set("momentum", momentum);
      else if (momentum != 0)
        continue;
      DenseUpdate cpu(s, n);
      std::vector<float> want = normal(n, "weights");
      const DeviceArray<float> weights(want);
      std::vector<DeviceArray<float>> state;
      SlotPointers slots{};
      for (const int slot : needed_slots(s)) {
        state.emplace_back(std::span<const float>(cpu.state()[state.size()].values.data(), n));
        slots[static_cast<size_t>(slot)] = state.back().get();
      }
      for (int step = 1; step <= 3; ++step) {
        const std::vector<float> g = normal(n, step == 1 ? "g1" : step == 2 ? "g2" : "g3");
        const bool proceed = step != 2;
        if (proceed) cpu.apply(pool, want.data(), g.data(), 0.5, step, 0.25f);
        const DeviceArray<float> gradient(g);
        const DeviceArray<OptimizerStep> device_step(std::vector<OptimizerStep>{info.step(s, s.lr * 0.5, step, 0)});
        const DeviceArray<cuda::Outcome> outcome(
            std::vector<cuda::Outcome>{{.proceed = proceed ? 1u : 0u, .scale = 0.25f}});
        cuda::dense_update(nullptr, info, weights.get(), gradient.get(), slots, n, device_step.get(), outcome.get(),
                           nullptr);
        EXPECT_EQ(weights.values(), want) << info.name << ", step " << step;
      }
      for (size_t i = 0; i < state.size(); ++i)
        EXPECT_EQ(state[i].values(),
                  std::vector<float>(cpu.state()[i].values.data(), cpu.state()[i].values.data() + n));
    }
  }
}

TEST_F(CudaUpdates, MoreWeightsThanAGridHasThreads) {
  constexpr int64_t n = 4 * 1'048'576 + 4096;  // 4 a thread
  ThreadPool pool(1);
  OptimizerSettings s("sgd", OptimizerUse::dense);
  DenseUpdate cpu(s, n);
  std::vector<float> want(n, 1.0f);
  const std::vector<float> g = normal(n, "g");
  const DeviceArray<float> weights(want), gradient(g);
  cpu.apply(pool, want.data(), g.data(), 1, 1, 1);
  const DeviceArray<OptimizerStep> step(std::vector<OptimizerStep>{s.info().step(s, s.lr, 1, 0)});
  const DeviceArray<cuda::Outcome> outcome(std::vector<cuda::Outcome>{{.proceed = 1, .scale = 1.0f}});
  cuda::dense_update(nullptr, s.info(), weights.get(), gradient.get(), {}, n, step.get(), outcome.get(), nullptr);
  EXPECT_EQ(weights.values(), want);
}

TEST_F(CudaUpdates, CopiesInBf16ArePaddedWithZerosAndMoveWithTheWeights) {
  const std::vector<std::pair<int64_t, int64_t>> shapes = {{1, 1}, {3, 8}, {130, 17}, {64, 12},
                                                           {9, 4}, {7, 3}, {1, 500}};
  const auto infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> special = {0x1.01p0f, 0x1.03p0f,   0x1.010002p0f, -0.0f,     0x1.fep-127f,
                                      0x1p-149f, 0x1.ffp127f, infinity,      -infinity, nan};
  std::vector<int64_t> offsets;  // with room between them, and before the first
  int64_t n = 16;
  for (const auto& [rows, cols] : shapes) offsets.push_back(n), n += (rows * cols + 15) / 16 * 16;
  std::vector<float> w = normal(n, "w");
  std::copy(special.begin(), special.end(), w.begin() + offsets.back());
  const DeviceArray<float> weights(w), gradient(normal(n, "g"));
  std::vector<DeviceArray<bf16>> to;
  std::vector<cuda::LowCopy> copies;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const auto [rows, cols] = shapes[i];
    const int64_t ld = (cols + 7) / 8 * 8;
    copies.push_back({.from = weights.get() + offsets[i],
                      .to = to.emplace_back(static_cast<size_t>(rows * ld)).get(),
                      .rows = rows,
                      .cols = cols,
                      .ld = ld});
  }
  const DeviceArray<std::byte> memory(cuda::LowCopies::bytes(copies.size()));
  const cuda::LowCopies low(copies, memory.get(), nullptr);
  const auto expect_copied = [&](const std::vector<float>& want) {
    for (size_t i = 0; i < copies.size(); ++i) {
      const std::vector<bf16> got = to[i].values();
      for (int64_t r = 0; r < copies[i].rows; ++r)
        for (int64_t c = 0; c < copies[i].ld; ++c) {
          const float x = c < copies[i].cols ? want[static_cast<size_t>(offsets[i] + r * copies[i].cols + c)] : 0.0f;
          const bf16 low_x = got[static_cast<size_t>(r * copies[i].ld + c)];
          if (std::isnan(x))
            ASSERT_TRUE(std::isnan(to_float(low_x)));
          else
            ASSERT_EQ(low_x.bits, to_bf16(x).bits) << i << ": " << r << ", " << c;
        }
    }
  };
  low.refresh(nullptr);
  expect_copied(w);
  OptimizerSettings sgd("sgd", OptimizerUse::dense);
  const DeviceArray<OptimizerStep> step(std::vector<OptimizerStep>{sgd.info().step(sgd, 0.1, 1, 0)});
  for (const bool proceed : {true, false}) {
    const DeviceArray<cuda::Outcome> outcome(std::vector<cuda::Outcome>{{.proceed = proceed ? 1u : 0u, .scale = 1.0f}});
    cuda::dense_update(nullptr, sgd.info(), weights.get(), gradient.get(), {}, n, step.get(), outcome.get(), &low);
    const std::vector<float> moved = weights.values();
    EXPECT_NE(moved[static_cast<size_t>(offsets[2])], w[static_cast<size_t>(offsets[2])]);
    expect_copied(moved);
  }
}

TEST_F(CudaUpdates, TheControlHoldsTheStepsOfTheTables) {
  std::vector<OptimizerStep> memory(cuda::StepControl::bytes(2, 4) / sizeof(OptimizerStep) + 1);
  auto* control = new (memory.data()) cuda::StepControl;
  const OptimizerSettings s("adam", OptimizerUse::tables);
  cuda::set_table_steps(*control, 1, s, 0.5, 0.1, 3);
  EXPECT_EQ(control->tables()[2].decay, 0.5f);
  EXPECT_EQ(control->tables()[3].decay, 0.0f);
  EXPECT_EQ(control->tables()[3].own, s.info().step(s, s.lr * 0.1, 3, 0).own);
  EXPECT_EQ(static_cast<const void*>(control->shards(2)), control->tables() + 4);
  EXPECT_EQ(reinterpret_cast<const std::byte*>(control->shards(2) + 4),
            reinterpret_cast<const std::byte*>(control) + cuda::StepControl::bytes(2, 4));
}

}  // namespace
}  // namespace mtrank
