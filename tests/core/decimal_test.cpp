#include "framework/core/decimal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace mtrank {
namespace {

TEST(Decimal, is_the_nearest_double) {
  EXPECT_EQ(parse_decimal("0"), 0.);
  EXPECT_EQ(parse_decimal("-12"), -12.);
  EXPECT_EQ(parse_decimal("1.e3"), 1000.);
  EXPECT_EQ(parse_decimal(".5E+1"), 5.);
  EXPECT_EQ(parse_decimal("5."), 5.);
  EXPECT_EQ(parse_decimal("0.1"), 0.1);
  EXPECT_EQ(parse_decimal("0e99999"), 0.);
  EXPECT_EQ(parse_decimal("5e-324"), std::numeric_limits<double>::denorm_min());
  EXPECT_TRUE(std::signbit(*parse_decimal("-0")));
  for (const char* text :
       {"", "-", "+1", "--1", ".", "-.", "e3", "1e", "1e+", "1 ", " 1", "0x1p3", "0x10", "1,5", "inf", "-nan"})
    EXPECT_EQ(parse_decimal(text), std::nullopt) << text;
}

TEST(Decimal, knows_on_which_side_a_number_outside_of_the_doubles_lies) {
  const std::string zeros(400, '0'), nines(400, '9'), many(5000, '0');
  for (const std::string& text :
       std::vector<std::string>{"1e999", nines, nines + ".5", nines + "e-1", "0." + zeros + "1e999", "00001e309",
                                "1" + many + "e-4000", "1e99999999999999999999"}) {
    EXPECT_EQ(parse_decimal(text), std::numeric_limits<double>::infinity()) << text;
    EXPECT_EQ(parse_decimal("-" + text), -std::numeric_limits<double>::infinity()) << text;
  }
  for (const std::string& text :
       std::vector<std::string>{"1e-999", "0." + zeros + "1", "." + zeros + "9", "0." + zeros + "1e+9", nines + "e-999",
                                "." + many + "1e4000", "1e-99999999999999999999"}) {
    EXPECT_EQ(parse_decimal(text), 0.) << text;
    EXPECT_TRUE(std::signbit(*parse_decimal("-" + text))) << text;
  }
}

}  // namespace
}  // namespace mtrank
