#include "framework/train/dense_optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "framework/core/isa.h"
#include "framework/embedding/init.h"

namespace mtrank {
namespace {

constexpr int64_t kSize = 100003;

std::vector<float> random_floats(const char* name, double deviation) {
  std::vector<float> x(kSize);
  fill_weights({WeightInit::Kind::normal, deviation, 0}, Philox(3, "test", name), 0, kSize, x.data());
  return x;
}

std::vector<float> run(const std::string& optimizer, int threads) {
  ThreadPool pool(threads);
  OptimizerSettings s(optimizer, OptimizerUse::dense, {{"weight_decay", 0.01}});
  if (optimizer == "sgd") s.set("momentum", 0.9);
  DenseUpdate update(s, kSize);
  std::vector<float> w = random_floats("w", 1);
  for (int step = 1; step <= 3; ++step)
    update.apply(pool, w.data(), random_floats("g", 0.1 * step).data(), 0.5, step, 0.7);
  for (const DenseState& state : update.state()) w.insert(w.end(), state.values.data(), state.values.data() + kSize);
  return w;
}

TEST(DenseUpdate, BitsDoNotDependOnThreadsOrInstructionSet) {
  const Isa best = isa();
  for (const OptimizerInfo& info : optimizer_registry()) {
    if (!serves(info.use, OptimizerUse::dense)) continue;
    const std::string name(info.name);
    const std::vector<float> want = run(name, 1);
    for (const int threads : {2, 7}) EXPECT_EQ(run(name, threads), want) << name;
    for (int set = 0; set < static_cast<int>(best); ++set) {
      set_isa(static_cast<Isa>(set));
      EXPECT_EQ(run(name, 2), want) << name << " " << isa_name(isa());
    }
    set_isa(best);
  }
}

TEST(DenseUpdate, ScaleMultipliesTheGradientBeforeTheDecay) {
  ThreadPool pool(1);
  DenseUpdate update(OptimizerSettings("sgd", OptimizerUse::dense, {{"lr", 1}, {"weight_decay", 0.5}}), 1);
  float w = 2;
  const float g = 8;
  update.apply(pool, &w, &g, 0.5, 1, 0.25);
  EXPECT_EQ(w, 2 - 0.5f * (0.25f * 8 + 0.5f * 2));
  EXPECT_TRUE(update.state().empty());
}

TEST(SquaredNorm, IsExactEnoughAndIndependentOfThreads) {
  const std::vector<float> x = random_floats("x", 2);
  long double want = 0;
  for (const float v : x) want += static_cast<long double>(v) * v;
  ThreadPool one(1), seven(7);
  const double got = squared_norm(one, x.data(), kSize);
  EXPECT_NEAR(got / static_cast<double>(want), 1, 1e-13);
  EXPECT_EQ(squared_norm(seven, x.data(), kSize), got);
  EXPECT_EQ(squared_norm(one, x.data(), 0), 0);
  std::vector<float> bad = x;
  bad[70000] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(squared_norm(seven, bad.data(), kSize)));
}

TEST(ClipFactor, IsPyTorchs) {
  EXPECT_EQ(clip_factor(0.5, 1), 1);
  EXPECT_DOUBLE_EQ(clip_factor(4, 1), 1 / (4 + 1e-6));
  EXPECT_EQ(clip_factor(0, 1), 1);
}

}  // namespace
}  // namespace mtrank
