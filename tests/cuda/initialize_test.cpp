#include "cuda/initialize.h"

#include <gtest/gtest.h>

#include "framework/embedding/init.h"
#include "tests/cuda/device_array.h"

namespace mtrank {
namespace {

TEST(CudaInitialize, DrawsTheNumbersOfTheCpu) {
  if (!testing::has_device()) GTEST_SKIP() << "no CUDA device";
  const Philox random(3, "init", "a table");
  using enum WeightInit::Kind;
  for (const WeightInit& init : {WeightInit{zeros, 0, 0}, WeightInit{constant, 0.3, 0}, WeightInit{normal, 0.07, 0},
                                 WeightInit{uniform, -0.01, 0.02}}) {
    for (const int64_t n : {1, 255, 100'001, 1'100'000}) {  // the last is more than a grid has threads
      std::vector<float> want(static_cast<size_t>(n));
      fill_weights(init, random, 0, n, want.data());
      const testing::DeviceArray<float> got(static_cast<size_t>(n));
      cuda::fill_weights(nullptr, init, random, n, got.get());
      EXPECT_EQ(got.values(), want) << static_cast<int>(init.kind) << ", " << n;
    }
  }
}

}  // namespace
}  // namespace mtrank
