#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "framework/graph/autodiff.h"
#include "framework/ops/activation.h"
#include "framework/ops/add.h"
#include "framework/ops/arithmetic.h"
#include "framework/ops/cross.h"
#include "framework/ops/dropout.h"
#include "framework/ops/gate.h"
#include "framework/ops/layer_norm.h"
#include "framework/ops/linear.h"
#include "framework/ops/loss.h"
#include "framework/ops/mixture.h"
#include "framework/ops/mul.h"
#include "framework/ops/product_logit.h"
#include "framework/ops/sigmoid.h"
#include "framework/ops/softmax.h"
#include "tests/support/conformance.h"

/// Every op and every loss through the same checks. A new op needs a case here, a new loss none.
namespace mtrank {
namespace {

using testing::ConformanceCase;
using Values = std::vector<ValueId>;

const std::vector<std::string> kActivations = {"none", "relu", "gelu", "silu", "tanh", "sigmoid"};

ValueId weight(Builder& b, const std::string& name, int64_t rows, int64_t cols) {
  return b.param(name, rows, cols, {});
}

void add_linear(std::vector<ConformanceCase>& cases) {
  const std::vector<std::string> products{"linear", "linear_input_gradient", "linear_weight_gradient"};
  for (const std::string& f : kActivations) {
    std::vector<std::string> covers = products;
    if (f != "none") covers.push_back("activation_gradient");
    cases.push_back({"linear_" + f, covers, {19}, [f](Builder& b, const Values& x) -> Values {
                       return {dense(b, "layer", x[0], 18, f)};
                     }});
  }
  cases.push_back({"linear_grouped", products, {12}, [](Builder& b, const Values& x) -> Values {
                     return {dense(b, "layer", x[0], 5, "silu", 3)};
                   }});
  cases.push_back({"linear_no_bias", products, {4}, [](Builder& b, const Values& x) -> Values {
                     return {dense(b, "layer", x[0], 1, "none", 1, false)};
                   }});
}

void add_pointwise(std::vector<ConformanceCase>& cases) {
  for (const std::string& f : kActivations)
    if (f != "none")
      cases.push_back(
          {"activation_" + f, {"activation", "activation_gradient"}, {21}, [f](Builder& b, const Values& x) {
             return Values{activate(b, x[0], f)};
           }});
  cases.push_back({"cross", {"cross", "cross_gradient"}, {21, 21, 21}, [](Builder& b, const Values& x) -> Values {
                     return {cross(b, x[0], x[1], x[2])};
                   }});
  cases.push_back({"cross_of_itself", {"cross", "cross_gradient"}, {5}, [](Builder& b, const Values& x) -> Values {
                     return {cross(b, x[0], x[0], x[0])};
                   }});
  cases.push_back({"add", {"add"}, {21, 21, 21}, [](Builder& b, const Values& x) -> Values { return {add(b, x)}; }});
  cases.push_back({"add_twice", {"add"}, {6, 6}, [](Builder& b, const Values& x) -> Values {
                     return {add(b, {x[0], x[1], x[0], dense(b, "layer", x[1], 6)})};
                   }});
  cases.push_back({"mul", {"mul", "mul_gradient"}, {21, 21, 21}, [](Builder& b, const Values& x) -> Values {
                     return {mul(b, x)};
                   }});
  cases.push_back({"mul_wide", {"mul", "mul_gradient"}, {270, 270}, [](Builder& b, const Values& x) -> Values {
                     return {mul(b, {x[0], x[1], x[0]})};
                   }});
  cases.push_back({"dropout", {"dropout"}, {75}, [](Builder& b, const Values& x) -> Values {
                     return {dropout(b, x[0], 0.3), dropout(b, b.slice(x[0], 3, 9), 0.6)};
                   }});
  cases.push_back(
      {"product_logit", {"product_logit", "product_logit_gradient"}, {3, 3, 3}, [](Builder& b, const Values& x) {
         return Values{product_logit(b, x)};
       }});
}

void add_forward_only(std::vector<ConformanceCase>& cases) {
  cases.push_back(
      {"sigmoid", {"sigmoid"}, {21}, [](Builder& b, const Values& x) -> Values { return {sigmoid(b, x[0])}; }, false});
  for (char op : {'+', '-', '*', '/'})
    cases.push_back({std::string("arithmetic_") + (op == '+'   ? "add"
                                                   : op == '-' ? "subtract"
                                                   : op == '*' ? "multiply"
                                                               : "divide"),
                     {"arithmetic"},
                     {3, 3},
                     [op](Builder& b, const Values& x) -> Values { return {arithmetic(b, op, x[0], x[1])}; },
                     false});
  cases.push_back({"affine",
                   {"affine"},
                   {3},
                   [](Builder& b, const Values& x) -> Values { return {affine(b, x[0], -2, 0.5)}; },
                   false});
}

void add_rowwise(std::vector<ConformanceCase>& cases) {
  for (int64_t groups : {1, 3})
    cases.push_back({"layer_norm_" + std::to_string(groups),
                     {"layer_norm", "layer_norm_gradient"},
                     {21},
                     [=](Builder& b, const Values& x) { return Values{layer_norm(b, "norm", x[0], groups)}; }});
  cases.push_back({"layer_norm_fixed", {"layer_norm", "layer_norm_gradient"}, {8}, [](Builder& b, const Values& x) {
                     return Values{layer_norm(b, x[0], weight(b, "scale", 1, 8), weight(b, "bias", 1, 8), 1, 0.1)};
                   }});
  cases.push_back({"softmax", {"softmax", "softmax_gradient"}, {20}, [](Builder& b, const Values& x) -> Values {
                     return {softmax(b, x[0], 5)};
                   }});
  cases.push_back({"gate", {"gate", "gate_gradient"}, {3, 63}, [](Builder& b, const Values& x) -> Values {
                     return {gate(b, x[0], x[1])};
                   }});
  cases.push_back({"mixture", {"mixture", "mixture_gradient"}, {6, 63}, [](Builder& b, const Values& x) -> Values {
                     return {mixture(b, x[0], x[1], 3)};
                   }});
}

/// Inputs of every case are looked up; here what concat and slices leave to copy and zero.
void add_plumbing(std::vector<ConformanceCase>& cases) {
  cases.push_back({"lookup", {"lookup", "lookup_gradient"}, {1, 16, 81}, [](Builder&, const Values& x) { return x; }});
  cases.push_back({"copy", {"copy"}, {5, 3}, [](Builder& b, const Values& x) -> Values {
                     return {b.concat({x[0], x[1], x[0]}, "joined")};
                   }});
  cases.push_back({"zero", {"zero"}, {5}, [](Builder& b, const Values& x) -> Values {
                     return {b.slice(dense(b, "layer", x[0], 6), 2, 3)};
                   }});
}

void add_loss(std::vector<ConformanceCase>& cases, const LossInfo& info, double shift) {
  std::vector<double> parameters;
  for (const LossParameter& p : info.parameters) parameters.push_back(std::clamp(p.otherwise + shift, p.min, p.max));
  cases.push_back({std::string("loss_") + info.name + (shift == 0 ? "" : "_other"),
                   {"loss"},
                   {1},
                   [=, &info](Builder& b, const Values& x) {
                     loss(b, info.name, parameters, "task", x[0], b.input("label", 1), b.input("weight", 1),
                          b.scalar("scale"));
                     return Values{};
                   }});
}

const std::vector<ConformanceCase>& all_cases() {
  static const std::vector<ConformanceCase> cases = [] {
    std::vector<ConformanceCase> list;
    add_linear(list);
    add_pointwise(list);
    add_forward_only(list);
    add_rowwise(list);
    add_plumbing(list);
    for (const LossInfo& info : all_losses())
      for (double shift : {0.0, 0.3}) add_loss(list, info, shift);
    return list;
  }();
  return cases;
}

class OpConformance : public ::testing::TestWithParam<size_t> {
 protected:
  const ConformanceCase& example() const { return all_cases()[GetParam()]; }
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

INSTANTIATE_TEST_SUITE_P(Ops, OpConformance, ::testing::Range<size_t>(0, all_cases().size()),
                         [](const auto& info) { return all_cases()[info.param].name; });

TEST(Conformance, EveryOpHasACase) {
  std::set<std::string> covered;
  for (const ConformanceCase& c : all_cases()) {
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
