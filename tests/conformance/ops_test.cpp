#include <gtest/gtest.h>

#include <set>

#include "framework/graph/autodiff.h"
#include "framework/ops/ops.h"
#include "framework/ops/sigmoid.h"
#include "tests/support/op_cases.h"

/// Every op and every loss through the same checks.
namespace mtrank {
namespace {

using testing::ConformanceCase;
using testing::op_cases;
using Values = std::vector<ValueId>;

class OpConformance : public ::testing::TestWithParam<size_t> {
 protected:
  const ConformanceCase& example() const { return op_cases()[GetParam()]; }
};

TEST_P(OpConformance, Gradients) {
  EXPECT_EQ(testing::lines(testing::check_gradients(example())), "") << example().name;
}
TEST_P(OpConformance, FloatAgreesWithDouble) {
  EXPECT_EQ(testing::lines(testing::check_float(example())), "") << example().name;
}
TEST_P(OpConformance, SameBits) { EXPECT_EQ(testing::lines(testing::check_bits(example())), "") << example().name; }
TEST_P(OpConformance, GradientsAreAdded) {
  EXPECT_EQ(testing::lines(testing::check_accumulation(example())), "") << example().name;
}

INSTANTIATE_TEST_SUITE_P(Ops, OpConformance, ::testing::Range<size_t>(0, op_cases().size()),
                         [](const auto& info) { return op_cases()[info.param].name; });

TEST(Conformance, EveryOpHasACase) {
  std::set<std::string> covered;
  for (const ConformanceCase& c : op_cases()) {
    std::set<std::string> used;
    for (const OpNode& node : testing::case_graph(c, testing::Reading::plain).nodes) used.insert(node.op->name);
    for (const std::string& op : c.covers) {
      EXPECT_TRUE(used.count(op)) << "case " << c.name << " does not use op " << op;
      covered.insert(op);
    }
  }
  for (const Op* op : all_ops()) EXPECT_TRUE(covered.count(op->name)) << "op " << op->name << " has no case";
}

TEST(Conformance, EveryOpIsDescribedAndRunsInBothPrecisions) {
  for (const Op* op : all_ops()) {
    EXPECT_TRUE(op->cpu_f32 && op->cpu_f64) << op->name;
    EXPECT_GT(std::string(op->summary).size(), 3u) << op->name;
    EXPECT_EQ(find_op(op->name), op) << "two ops named " << op->name;
  }
}

// ---- the checks themselves -----------------------------------------------------------------------------------------

/// y = x * x; `factor` is what its gradient multiplies by, which should be 2.
Op square_op(double (*factor)()) {
  static double (*chosen)();
  chosen = factor;
  static const auto forward = []<class T>(const OpCall& call, T) {
    for (int64_t r = 0; r < call.rows; ++r)
      for (int64_t c = 0; c < call.in[0].cols; ++c)
        call.out[0].row<T>(r)[c] = call.in[0].row<const T>(r)[c] * call.in[0].row<const T>(r)[c];
  };
  static const auto gradient = []<class T>(const OpCall& call, T) {
    for (int64_t r = 0; r < call.rows; ++r)
      for (int64_t c = 0; c < call.in[0].cols; ++c) {
        T& out = call.out[0].row<T>(r)[c];
        const T d = static_cast<T>(chosen()) * call.in[0].row<const T>(r)[c] * call.in[1].row<const T>(r)[c];
        out = call.accumulate[0] ? out + d : d;
      }
  };
  static const Op gradient_op{.name = "square_gradient",
                              .summary = "dx = 2 x dy",
                              .cpu_f32 = [](const OpCall& call) { gradient(call, float{}); },
                              .cpu_f64 = [](const OpCall& call) { gradient(call, double{}); }};
  return {.name = "square",
          .summary = "y = x * x",
          .shapes = [](const ShapeCall& call) { return std::vector<int64_t>{call.in[0].cols}; },
          .backward =
              [](GradBuilder& grads, const OpNode& n) {
                grads.emit(gradient_op, {grads.gradient(n.outputs[0]), n.inputs[0]}, {n.inputs[0]});
              },
          .cpu_f32 = [](const OpCall& call) { forward(call, float{}); },
          .cpu_f64 = [](const OpCall& call) { forward(call, double{}); }};
}

ConformanceCase square_case(const Op& op) {
  return {"square", {}, {4}, [&op](Builder& b, const Values& x) -> Values { return {b.apply1(op, {x[0]})}; }};
}

TEST(Conformance, ARightGradientPasses) {
  const Op op = square_op([] { return 2.0; });
  EXPECT_EQ(testing::lines(testing::check_case(square_case(op))), "");
}

TEST(Conformance, AWrongGradientIsSeen) {
  const Op op = square_op([] { return 2.00001; });
  const std::vector<std::string> problems = testing::check_gradients(square_case(op));
  ASSERT_EQ(problems.size(), 2u * 4 * 7) << testing::lines(problems);  // every number, however the inputs are read
  EXPECT_EQ(problems.front().rfind("plain inputs: in0[0]: gradient", 0), 0u) << problems.front();
  EXPECT_EQ(problems.back().rfind("shared inputs: in0[27]: gradient", 0), 0u) << problems.back();
}

TEST(Conformance, AMissingGradientIsSeen) {
  const ConformanceCase c{"sigmoid", {}, {4}, [](Builder& b, const Values& x) -> Values { return {sigmoid(b, x[0])}; }};
  EXPECT_NE(testing::lines(testing::check_gradients(c)), "");
}

TEST(Conformance, BitsThatDependOnTheRowsOfACallAreSeen) {
  static const auto kernel = []<class T>(const OpCall& call, T) {
    for (int64_t r = 0; r < call.rows; ++r)
      call.out[0].row<T>(r)[0] = call.in[0].row<const T>(r)[0] + static_cast<T>(1e-6) * static_cast<T>(call.rows);
  };
  const Op op{.name = "leaky",
              .summary = "depends on the size of the call",
              .shapes = [](const ShapeCall&) { return std::vector<int64_t>{1}; },
              .cpu_f32 = [](const OpCall& call) { kernel(call, float{}); },
              .cpu_f64 = [](const OpCall& call) { kernel(call, double{}); }};
  const ConformanceCase c{
      "leaky", {}, {1}, [&op](Builder& b, const Values& x) -> Values { return {b.apply1(op, {x[0]})}; }};
  EXPECT_NE(testing::lines(testing::check_bits(c)).find("rows in 3: other bits of out0"), std::string::npos);
}

}  // namespace
}  // namespace mtrank
