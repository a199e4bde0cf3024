#include "framework/core/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace mtrank {
namespace {

std::vector<uint32_t> words(const PhiloxBlock& b) { return {b[0], b[1], b[2], b[3]}; }

// The vectors published with Random123 (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  using V = std::vector<uint32_t>;
  EXPECT_EQ(words(philox4x32(0, 0, {{0, 0, 0, 0}})), (V{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t f = 0xffffffff;
  EXPECT_EQ(words(philox4x32(f, f, {{f, f, f, f}})), (V{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(words(philox4x32(0xa4093822, 0x299f31d0, {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}})),
            (V{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, KeyAndCounterAllMatter) {
  const Philox base(1, "init", "a");
  const auto first = words(base(0, 0));
  EXPECT_EQ(first, words(Philox(1, "init", "a")(0, 0)));
  EXPECT_NE(first, words(Philox(2, "init", "a")(0, 0)));
  EXPECT_NE(first, words(Philox(1, "dropout", "a")(0, 0)));
  EXPECT_NE(first, words(Philox(1, "init", "b")(0, 0)));
  EXPECT_NE(words(Philox(1, "ab", "c")(0, 0)), words(Philox(1, "a", "bc")(0, 0)));
  EXPECT_NE(words(base(1, 0)), words(base(0, 1)));
  EXPECT_NE(words(base(0, uint64_t{1} << 32)), words(base(1, 0)));
}

TEST(Philox, UniformEnds) {
  EXPECT_EQ(uniform01(0), 0.0f);
  EXPECT_LT(uniform01(0xffffffff), 1.0f);
  EXPECT_GT(uniform_open(0, 0), 0.0);
  EXPECT_LT(uniform_open(0xffffffff, 0xffffffff), 1.0);
  EXPECT_EQ(uniform_below(7, 0xffffffff, 0xffffffff), 6u);
  EXPECT_EQ(uniform_below(7, 0, 0), 0u);
}

TEST(Philox, NormalQuantileInvertsTheDistributionFunction) {
  for (double p : {1e-15, 1e-12, 1e-6, 0.001, 0.07, 0.2, 0.5, 0.7, 0.93, 0.9999}) {
    const double x = normal_quantile(p);
    EXPECT_NEAR(0.5 * std::erfc(-x / std::sqrt(2.0)) / p, 1.0, 1e-12) << p;
  }
  EXPECT_DOUBLE_EQ(normal_quantile(0.975), 1.959963984540054);
  EXPECT_DOUBLE_EQ(normal_quantile(1e-300), -37.0470962993612) << "the far tail has its own polynomial";
}

TEST(Philox, NormalMoments) {
  const Philox random(7, "test", "normal");
  const int n = 200000;
  double sum = 0, square = 0, fourth = 0;
  for (int i = 0; i < n; ++i) {
    double x[2];
    normal01_pair(random(3, i), x);
    for (double v : x) sum += v, square += v * v, fourth += v * v * v * v;
  }
  EXPECT_NEAR(sum / (2 * n), 0.0, 0.01);
  EXPECT_NEAR(square / (2 * n), 1.0, 0.01);
  EXPECT_NEAR(fourth / (2 * n), 3.0, 0.06);
}

}  // namespace
}  // namespace mtrank
