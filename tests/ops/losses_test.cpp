#include "framework/ops/losses/losses.h"

#include <gtest/gtest.h>

#include <cmath>

#include "framework/ops/loss.h"

namespace mtrank {
namespace {

TEST(Losses, AreFiniteFloatsAtTheEndsOfTheirParameters) {
  for (const LossInfo& info : all_losses())
    with_loss(info.name, [&](auto loss) {
      using Loss = decltype(loss);
      for (size_t i = 0; i < info.parameters.size(); ++i) {
        const Range& range = info.parameters[i].range;
        for (const double end : {range.low_open ? std::nextafter(range.low, range.high) : range.low,
                                 range.high_open ? std::nextafter(range.high, range.low) : range.high}) {
          ASSERT_TRUE(range.holds(end));
          Attributes attributes;
          attributes.set(loss_parameter_name(i), end);
          const auto p = loss_parameters<Loss, float>(attributes);
          for (const float z : {-100.f, -30.f, -1.f, 0.f, 1e-3f, 1.f, 30.f, 100.f})
            for (const float y : {0.f, 1.f}) {
              EXPECT_TRUE(std::isfinite(Loss::value(z, y, p.data())))
                  << info.name << " " << info.parameters[i].name << " " << end << " at " << z << ", label " << y;
              EXPECT_TRUE(std::isfinite(Loss::derivative(z, y, p.data())))
                  << info.name << " " << info.parameters[i].name << " " << end << " at " << z << ", label " << y;
            }
        }
      }
    });
}

}  // namespace
}  // namespace mtrank
