#include "framework/config/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "framework/config/expression.h"

namespace mtrank {
namespace {

using testing::HasSubstr;

/// "ok: <text form>", or "offset: message".
template <class T>
std::string read(const char* text) {
  T value;
  if (const auto error = value.parse_text(text)) return std::to_string(error->offset) + ": " + error->message;
  return "ok: " + value.text();
}

TEST(Values, sizes) {
  EXPECT_EQ(read<ByteSize>("512MiB"), "ok: 512MiB");
  EXPECT_EQ(read<ByteSize>("1024 KiB"), "ok: 1MiB");
  EXPECT_EQ(read<ByteSize>("2GB"), "ok: 1953125KiB");
  EXPECT_EQ(read<ByteSize>("1.5GiB"), "ok: 1536MiB");
  EXPECT_EQ(read<ByteSize>("1001"), "ok: 1001");
  EXPECT_EQ(read<ByteSize>("9000000000000000000"), "ok: 8789062500000000KiB");
  EXPECT_THAT(read<ByteSize>("9000001 TB"), HasSubstr("is out of range"));
  for (const char* bad : {"", "MiB", "1 potato", "-1", "0", "1e99"})
    EXPECT_THAT(read<ByteSize>(bad), HasSubstr("0: ")) << bad;
}

TEST(Values, intervals) {
  EXPECT_EQ(read<Interval>("epoch"), "ok: epoch");
  EXPECT_EQ(read<Interval>("2 epochs"), "ok: 2 epochs");
  EXPECT_EQ(read<Interval>("1000"), "ok: 1000 steps");
  EXPECT_EQ(read<Interval>("1 step"), "ok: 1 step");
  EXPECT_EQ(read<Interval>("10 minutes"), "ok: 600 seconds");
  EXPECT_EQ(read<Interval>("1.5 hours"), "ok: 5400 seconds");
  EXPECT_EQ(read<Interval>("30s"), "ok: 30 seconds");
  EXPECT_EQ(read<Interval>("s"), "ok: 1 second");
  EXPECT_THAT(read<Interval>(". steps"), HasSubstr("is not an interval"));
  for (const char* bad : {"0.5 steps", "1000000000000001 steps", "0.5 minutes 1"})
    EXPECT_THAT(read<Interval>(bad), HasSubstr("0: ")) << bad;
  EXPECT_EQ(read<StepInterval>("2 epochs"), "ok: 2 epochs");
  EXPECT_EQ(read<StepInterval>("1000"), "ok: 1000 steps");
  EXPECT_THAT(read<StepInterval>("30s"), HasSubstr("`30s` would make the result depend on the machine's speed"));
  EXPECT_THAT(read<StepInterval>("often"), HasSubstr("is not an interval"));
  for (const char* bad : {"", "0 steps", "1.5 epochs", "never", "3 weeks", "-1"})
    EXPECT_THAT(read<Interval>(bad), HasSubstr("0: ")) << bad;
}

TEST(Values, initializers) {
  EXPECT_EQ(read<Init>("normal(0.01)"), "ok: normal(0.01)");
  EXPECT_EQ(read<Init>("uniform(-0.1,  0.1)"), "ok: uniform(-0.1, 0.1)");
  EXPECT_EQ(read<Init>("zeros"), "ok: zeros");
  EXPECT_EQ(read<Init>("fan_in"), "ok: fan_in");
  EXPECT_EQ(read<Init>("normal"), "0: `normal` takes 1 number, found 0");
  EXPECT_EQ(read<Init>("normal(x)"), "7: `x` is not a number");
  EXPECT_EQ(read<Init>("uniform(1, 0)"), "8: uniform needs a lower end below its upper end");
  EXPECT_EQ(read<Init>("normal(0)"), "ok: normal(0)");
  EXPECT_EQ(read<Init>("constant(.inf)"), "9: `.inf` is not a number");
  EXPECT_EQ(read<Init>("uniform(1, 1)"), "8: uniform needs a lower end below its upper end");
  EXPECT_EQ(read<Init>("normal(-1)"), "7: the deviation -1 is negative");
  EXPECT_EQ(read<Init>("constant(1e39)"), "9: 1e39 is too large for a weight");
  EXPECT_EQ(read<Init>("uniform(-1e10, 1)"), "8: -1e10 is too large for a weight");
  EXPECT_EQ(read<Init>("uniform(1,)"), "10: an argument of `uniform` is empty");
  EXPECT_EQ(read<Init>("normal(1"), "7: expected `)` at the end of `normal(1`");
  EXPECT_EQ(read<Init>("norml(1)"), "0: `norml` is not an initializer");
}

TEST(Values, metrics) {
  EXPECT_EQ(read<MetricCall>("auc"), "ok: auc");
  EXPECT_EQ(read<MetricCall>("gauc( user_id )"), "ok: gauc(user_id)");
  EXPECT_EQ(read<MetricCall>("ece(20)"), "ok: ece(20)");
  EXPECT_EQ(read<MetricCall>("gauc(user_id, x)"), "14: `gauc` takes one argument");
  EXPECT_EQ(read<MetricCall>("ece(1)"), "ok: ece(1)");
  EXPECT_EQ(read<MetricCall>("ece(100000)"), "ok: ece(100000)");
  EXPECT_THAT(read<MetricCall>("ece(0)"), HasSubstr("from 1 to 100000"));
  EXPECT_THAT(read<MetricCall>("ece(100001)"), HasSubstr("from 1 to 100000"));
  EXPECT_EQ(read<BestCall>("mean.ece(x)"), "9: `ece` takes a number from 1 to 100000, found `x`");
  EXPECT_EQ(read<MetricCall>("ece(x)"), "4: `ece` takes a number from 1 to 100000, found `x`");
  EXPECT_THAT(read<MetricCall>("gauc"), HasSubstr("needs the column"));
  EXPECT_THAT(read<MetricCall>("auc(user_id)"), HasSubstr("4: `auc` takes no argument"));
  EXPECT_THAT(read<MetricCall>("auk"), HasSubstr("not a metric"));
  EXPECT_EQ(read<BestCall>("mean.gauc(a.b)"), "ok: mean.gauc(a.b)");
  EXPECT_THAT(read<BestCall>("auc"), HasSubstr("does not say whose metric"));
}

TEST(Expression, parses_with_precedence) {
  Expression e;
  ASSERT_FALSE(e.parse_text("0.5 * a + -b / (c - 2)"));
  ASSERT_EQ(e.op, Expression::Op::add);
  EXPECT_EQ(e.args[0].op, Expression::Op::multiply);
  ASSERT_EQ(e.args[1].op, Expression::Op::divide);
  EXPECT_EQ(e.args[1].args[0].op, Expression::Op::negate);
  EXPECT_EQ(e.args[1].args[1].op, Expression::Op::subtract);
  const auto names = e.names();
  ASSERT_EQ(names.size(), 3u);
  EXPECT_EQ(names[2], "c");
  EXPECT_FALSE(e.is_product());
  ASSERT_FALSE(e.parse_text("a * (b * c)"));
  EXPECT_TRUE(e.is_product());
  for (const char* sum : {"(a + b) * c", "a * (b - c)", "a * 2"}) {
    ASSERT_FALSE(e.parse_text(sum));
    EXPECT_FALSE(e.is_product()) << sum;
  }
}

TEST(Expression, errors_say_where) {
  EXPECT_EQ(read<Expression>("a *"), "3: expected a task or a number, found the end");
  EXPECT_EQ(read<Expression>("a b"), "2: expected an operator, found `b`");
  EXPECT_EQ(read<Expression>("(a"), "2: expected `)`, found the end");
  EXPECT_EQ(read<Expression>(""), "0: expected a task or a number, found the end");
  EXPECT_EQ(read<Expression>("a & b"), "2: expected an operator, found `&`");
  std::string terms = "a";
  for (int i = 1; i < 100; ++i) terms += "+a";
  EXPECT_THAT(read<Expression>(terms.c_str()), HasSubstr("ok: "));
  EXPECT_THAT(read<Expression>((terms + "+a").c_str()), HasSubstr("longer than 100 terms"));
  EXPECT_THAT(read<Expression>(std::string(5000, '(').c_str()), HasSubstr("longer than 100 terms"));
  EXPECT_THAT(read<Expression>(std::string(5000, '-').c_str()), HasSubstr("longer than 100 terms"));
}

TEST(Condition, parses_and_compares) {
  Condition c;
  ASSERT_FALSE(c.parse_text("is_click == 1 and rating>=3.5"));
  ASSERT_EQ(c.clauses.size(), 2u);
  EXPECT_EQ(c.clauses[1].name, "rating");
  EXPECT_EQ(c.clauses[1].op, Compare::greater_equal);
  EXPECT_EQ(c.clauses[1].value, 3.5);
  EXPECT_EQ(c.clauses[1].offset, 18u);
  EXPECT_EQ(read<Condition>("a == 1 && b < 2"), "ok: a == 1 && b < 2");
  EXPECT_EQ(read<Condition>("a == 1e999"), "5: expected a number, found `1`");
  EXPECT_EQ(read<Condition>("is_click = 1"), "9: expected one of == != < <= > >=, found `=`");
  EXPECT_EQ(read<Condition>("is_click == yes"), "12: expected a number, found `y`");
  EXPECT_EQ(read<Condition>("a == 1 or b == 2"), "7: expected `and` or the end, found `o`");
  EXPECT_EQ(read<Condition>("1 == a"), "0: expected a label, found `1`");
  EXPECT_TRUE(compare(1, Compare::not_equal, 0));
  EXPECT_FALSE(compare(NAN, Compare::not_equal, 0));
  EXPECT_FALSE(compare(0, Compare::not_equal, NAN));
  EXPECT_FALSE(compare(1, Compare::less, 1));
  EXPECT_TRUE(compare(1, Compare::less_equal, 1));
  EXPECT_FALSE(compare(1, Compare::greater, 1));
  EXPECT_TRUE(compare(1, Compare::greater_equal, 1));
}

}  // namespace
}  // namespace mtrank
