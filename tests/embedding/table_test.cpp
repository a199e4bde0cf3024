#include "framework/embedding/table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "framework/core/error.h"
#include "framework/embedding/init.h"

namespace mtrank {
namespace {

std::vector<float> drawn(const WeightInit& init, int threads, int64_t rows, int64_t dim, const char* name = "t") {
  ThreadPool pool(threads);
  EmbeddingTable table(name, rows, dim, OptimizerSettings("sgd", OptimizerUse::tables));
  table.initialize(pool, init, 5);
  return {table.weights(), table.weights() + table.size()};
}

TEST(EmbeddingTable, WeightsAreAFunctionOfSeedNameAndElement) {
  const WeightInit normal{WeightInit::Kind::normal, 0.5, 0};
  const std::vector<float> w = drawn(normal, 1, 5001, 20);
  EXPECT_EQ(drawn(normal, 3, 5001, 20), w);
  EXPECT_NE(drawn(normal, 1, 5001, 20, "other"), w);
  const Philox random(5, "init", "t");
  double sum = 0, squares = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    ASSERT_EQ(w[i], static_cast<float>(0.5 * normal01(random(0, i))));
    sum += w[i], squares += static_cast<double>(w[i]) * static_cast<double>(w[i]);
  }
  EXPECT_NEAR(sum / static_cast<double>(w.size()), 0, 0.01);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(w.size())), 0.5, 0.01);
}

TEST(EmbeddingTable, EveryDistribution) {
  EXPECT_EQ(drawn({}, 2, 3, 2), std::vector<float>(6, 0.0f));
  EXPECT_EQ(drawn({WeightInit::Kind::constant, 1.5, 0}, 2, 3, 2), std::vector<float>(6, 1.5f));
  const std::vector<float> w = drawn({WeightInit::Kind::uniform, -2, 1}, 2, 1000, 7);
  double sum = 0;
  for (const float x : w) {
    ASSERT_TRUE(x >= -2 && x < 1);
    sum += x;
  }
  EXPECT_NEAR(sum / static_cast<double>(w.size()), -0.5, 0.05);
}

TEST(EmbeddingTable, StateHasNamesAndStartsWhereItMust) {
  ThreadPool pool(2);
  EmbeddingTable table("t", 10, 4,
                       OptimizerSettings("rowwise_adagrad", OptimizerUse::tables, {{"initial_accumulator", 0.25}}));
  table.initialize(pool, {}, 1);
  ASSERT_EQ(table.state().size(), 1u);
  EXPECT_EQ(table.state()[0].name, "accumulator");
  EXPECT_EQ(table.state()[0].shape, SlotShape::row);
  EXPECT_EQ(table.state()[0].values.size(), 10);
  EXPECT_EQ(table.state()[0].values.data()[9], 0.25f);
  EXPECT_EQ(table.slots(3)[0], table.state()[0].values.data() + 3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(table.weights()) % 64, 0u);
}

TEST(FloatBuffer, BigOnesBeginOnAHugePageAndImpossibleOnesAreRefused) {
  const FloatBuffer big(3 << 20, "test");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(big.data()) % (2 << 20), 0u);
  big.data()[big.size() - 1] = 1;
  EXPECT_EQ(big.data()[0], 0);
  try {
    FloatBuffer(int64_t{1} << 50, "table video");
    FAIL();
  } catch (const ResourceError& e) {
    EXPECT_NE(std::string(e.what()).find("table video needs 4294967296 MiB"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace mtrank
