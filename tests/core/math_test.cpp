#include "framework/core/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "framework/core/reduce.h"

namespace mtrank {
namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

template <class F>
std::vector<float> map(const std::vector<float>& x, const F& f) {
  std::vector<float> y(x.size());
  const float* in = x.data();
  float* out = y.data();
  const size_t n = x.size();
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (size_t i = 0; i < n; ++i) out[i] = f(in[i]);
  });
  return y;
}

struct Function {
  std::string name;
  std::vector<float> (*run)(const std::vector<float>&);
  double (*oracle)(double);
  double tolerance_ulp;
};

#define MAP(function) \
  [](const std::vector<float>& x) { return map(x, [](float v) MTRANK_INLINE_LAMBDA { return math::function(v); }); }

const Function functions[] = {
    {"exp", MAP(exp), [](double x) { return std::exp(x); }, 1.5},
    {"log", MAP(log), [](double x) { return std::log(x); }, 1.5},
    {"log1p", MAP(log1p), [](double x) { return std::log1p(x); }, 2},
    {"tanh", MAP(tanh), [](double x) { return std::tanh(x); }, 2},
    {"sigmoid", MAP(sigmoid), [](double x) { return 1 / (1 + std::exp(-x)); }, 2.5},
    {"softplus", MAP(softplus), [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }, 3},
    {"log_sigmoid", MAP(log_sigmoid),
     [](double x) { return -(std::max(-x, 0.0) + std::log1p(std::exp(-std::fabs(x)))); }, 3},
    {"erf", MAP(erf), [](double x) { return std::erf(x); }, 2},
    {"rsqrt", MAP(rsqrt), [](double x) { return 1 / std::sqrt(x); }, 1.5},
};

/// Every `stride`-th float there is, of both signs: all exponents, denormals, infinities and NaNs.
std::vector<float> all_floats(uint32_t stride) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += stride)
    x.push_back(math::detail::from_bits(static_cast<uint32_t>(bits)));
  for (float v : {0.0f, -0.0f, 1.0f, -1.0f, inf, -inf, nan, 88.72283f, 88.72284f, -87.33654f, -103.97f, -104.5f})
    x.push_back(v);
  return x;
}

/// Distance in units of the last place of `expected`, in its binade; denormal results count in the smallest normal's.
double ulps(float found, double expected) {
  if (std::isnan(expected)) return std::isnan(found) ? 0 : inf;
  const float rounded = static_cast<float>(expected);
  if (std::isinf(rounded)) return found == rounded ? 0 : inf;
  if (!std::isfinite(found)) return inf;
  const double magnitude = std::max(std::fabs(expected), 1.17549435e-38);
  return std::fabs(found - expected) / std::ldexp(1.0, std::ilogb(magnitude) - 23);
}

TEST(Math, EveryFunctionIsWithinItsUlpsOverTheWholeRange) {
  const std::vector<float> x = all_floats(10007);
  for (const Function& f : functions) {
    const std::vector<float> y = f.run(x);
    double worst = 0;
    float where = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double error = ulps(y[i], f.oracle(x[i]));
      if (error > worst) worst = error, where = x[i];
    }
    RecordProperty(f.name + "_max_ulp", std::to_string(worst));
    EXPECT_LE(worst, f.tolerance_ulp) << f.name << " at " << where << ": " << f.run({where})[0] << ", expected "
                                      << f.oracle(where);
  }
}

TEST(Math, EveryInstructionSetGivesTheSameBits) {
  const std::vector<float> x = all_floats(100003);
  const Isa best = isa();
  for (const Function& f : functions) {
    set_isa(Isa::scalar);
    const std::vector<float> expected = f.run(x);
    for (int set = 1; set <= static_cast<int>(best); ++set) {
      set_isa(static_cast<Isa>(set));
      const std::vector<float> y = f.run(x);
      for (size_t i = 0; i < x.size(); ++i) {
        if (std::isnan(y[i]) && std::isnan(expected[i])) continue;
        ASSERT_EQ(std::memcmp(&y[i], &expected[i], 4), 0) << f.name << "(" << x[i] << ") " << isa_name(isa());
      }
    }
  }
  set_isa(best);
}

TEST(Math, LimitsAndSigns) {
  EXPECT_EQ(math::exp(-inf), 0.0f);
  EXPECT_EQ(math::exp(inf), inf);
  EXPECT_EQ(math::exp(0.0f), 1.0f);
  EXPECT_EQ(math::log(0.0f), -inf);
  EXPECT_EQ(math::log(-0.0f), -inf);
  EXPECT_EQ(math::log(1.0f), 0.0f);
  EXPECT_EQ(math::log(inf), inf);
  EXPECT_TRUE(std::isnan(math::log(-1.0f)));
  EXPECT_EQ(math::log1p(-1.0f), -inf);
  EXPECT_TRUE(std::signbit(math::log1p(-0.0f)));
  EXPECT_TRUE(std::signbit(math::tanh(-0.0f)));
  EXPECT_TRUE(std::signbit(math::erf(-0.0f)));
  EXPECT_EQ(math::sigmoid(-inf), 0.0f);
  EXPECT_EQ(math::sigmoid(inf), 1.0f);
  EXPECT_EQ(math::softplus(inf), inf);
  EXPECT_EQ(math::softplus(-inf), 0.0f);
  EXPECT_EQ(math::log_sigmoid(-inf), -inf);
  EXPECT_TRUE(std::isnan(math::softplus(nan)));
  EXPECT_TRUE(std::isnan(math::max(nan, 0.0f)));
  EXPECT_FALSE(math::finite(-inf));
  EXPECT_FALSE(math::finite(static_cast<double>(nan)));
}

std::vector<float> sample(int64_t n) {
  std::vector<float> x(n);
  for (int64_t i = 0; i < n; ++i) x[i] = std::sin(0.7f * static_cast<float>(i)) * std::exp2f(static_cast<float>(i % 9));
  return x;
}

TEST(Reduce, MatchesDoubleAndGivesTheSameBitsFromEverySet) {
  const Isa best = isa();
  for (int64_t n : {0, 1, 15, 16, 17, 31, 100, 1003}) {
    const std::vector<float> x = sample(n), y = sample(n);
    double expected = 0, squares = 0, magnitude = 0;
    for (float v : x) expected += v, squares += double{v} * v, magnitude += std::fabs(v);
    std::vector<double> first;
    for (int set = 0; set <= static_cast<int>(best); ++set) {
      set_isa(static_cast<Isa>(set));
      const std::vector<double> found = {sum(x.data(), n), sum_f64(x.data(), n), sum_squares(x.data(), n),
                                         dot(x.data(), y.data(), n), max_abs(x.data(), n)};
      if (set == 0) first = found;
      EXPECT_EQ(found, first) << n << " " << isa_name(isa());
      EXPECT_NEAR(found[0], expected, 1e-6 * magnitude);
      EXPECT_NEAR(found[1], expected, 1e-14 * magnitude);
      EXPECT_NEAR(found[2], squares, 1e-14 * squares);
      EXPECT_NEAR(found[3], squares, 1e-6 * squares);
    }
  }
  set_isa(best);
}

TEST(Reduce, FindsAnyValueThatIsNotFinite) {
  for (float bad : {inf, -inf, nan})
    for (int64_t at : {0, 15, 16, 40, 41, 42}) {
      std::vector<float> x = sample(43);
      EXPECT_TRUE(all_finite(x.data(), 43));
      x[at] = bad;
      EXPECT_FALSE(all_finite(x.data(), 43)) << bad << " at " << at;
      EXPECT_TRUE(std::isnan(bad) ? std::isnan(max_abs(x.data(), 43)) : max_abs(x.data(), 43) == inf);
    }
}

}  // namespace
}  // namespace mtrank
