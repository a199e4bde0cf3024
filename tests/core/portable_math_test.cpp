#include "framework/core/portable_math.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mtrank {
namespace {

TEST(PortableMath, LogAgreesWithTheLibrary) {
  EXPECT_EQ(portable_log(1.0), 0.0);
  for (double x : {1e-300, 1e-20, 1e-7, 0.1, 0.5, 0.7071, 0.7072, 1 - 1e-7, 1 + 1e-12, 1.4142, 1.4143, 3.0, 1e10})
    EXPECT_NEAR(portable_log(x) / std::log(x), 1.0, 4e-16) << x;
}

TEST(PortableMath, ExpAgreesWithTheLibrary) {
  EXPECT_EQ(portable_exp(0.0), 1.0);
  for (double x = -700; x <= 700; x += 0.37) ASSERT_NEAR(portable_exp(x) / std::exp(x), 1.0, 5e-16) << x;
  EXPECT_EQ(portable_exp(1e6), portable_exp(700));
  EXPECT_EQ(portable_sigmoid(0), 0.5);
}

}  // namespace
}  // namespace mtrank
