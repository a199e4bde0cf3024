#include "framework/core/isa.h"

#include <gtest/gtest.h>

#include <vector>

namespace mtrank {
namespace {

TEST(Isa, OneLoopGivesTheSameBitsFromEverySet) {
  const Isa best = isa();
  std::vector<std::vector<float>> results;
  for (int set = 0; set <= static_cast<int>(best); ++set) {
    set_isa(static_cast<Isa>(set));
    std::vector<float> y(1003);
    float* out = y.data();
    for_isa([=]() MTRANK_INLINE_LAMBDA {
      for (int i = 0; i < 1003; ++i) out[i] = __builtin_fmaf(0.1f * static_cast<float>(i), 1.7f, -0.3f);
    });
    results.push_back(y);
  }
  set_isa(best);
  for (const auto& y : results) EXPECT_EQ(y, results.front());
}

}  // namespace
}  // namespace mtrank
