#include "tests/support/op_cases.h"

#include <algorithm>

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

namespace mtrank::testing {
namespace {

using Values = std::vector<ValueId>;

ValueId weight(Builder& b, const std::string& name, int64_t rows, int64_t cols) {
  return b.param(name, rows, cols, {});
}

void add_linear(std::vector<ConformanceCase>& cases) {
  const std::vector<std::string> products{"linear", "linear_input_gradient", "linear_weight_gradient"};
  for (const std::string& f : activation_names()) {
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
  for (const std::string& f : activation_names())
    if (f != "none")
      cases.push_back(
          {"activation_" + f, {"activation", "activation_gradient"}, {21}, [f](Builder& b, const Values& x) {
             return Values{activate(b, x[0], f)};
           }});
  cases.push_back({"cross", {"cross", "cross_gradient"}, {21, 21, 21}, [](Builder& b, const Values& x) -> Values {
                     return {cross(b, x[0], x[1], x[2])};
                   }});
  cases.push_back({"cross_residual", {"cross", "cross_gradient"}, {21, 21}, [](Builder& b, const Values& x) -> Values {
                     return {cross(b, x[0], x[1], x[0])};
                   }});
  cases.push_back({"cross_of_itself", {"cross", "cross_gradient"}, {5}, [](Builder& b, const Values& x) -> Values {
                     return {cross(b, x[0], x[0], x[0])};
                   }});
  cases.push_back({"add", {"add"}, {21, 21, 21}, [](Builder& b, const Values& x) -> Values { return {add(b, x)}; }});
  cases.push_back({"add_twice", {"add"}, {6, 6}, [](Builder& b, const Values& x) -> Values {
                     return {add(b, {x[0], x[1], x[0], dense(b, "layer", x[1], 6)})};
                   }});
  cases.push_back({"add_thrice", {"add"}, {6, 6}, [](Builder& b, const Values& x) -> Values {
                     return {dense(b, "on", add(b, {x[0], x[0], x[1]}), 4)};
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
  for (const Parameter& p : info.parameters)
    parameters.push_back(std::clamp(p.otherwise + shift, p.range.low, p.range.high));
  cases.push_back({std::string("loss_") + info.name + (shift == 0 ? "" : "_other"),
                   {"loss"},
                   {1},
                   [=, &info](Builder& b, const Values& x) {
                     loss(b, info.name, parameters, "task", x[0], b.input("label", 1), b.input("weight", 1),
                          b.scalar("scale"));
                     return Values{};
                   }});
}

}  // namespace

const std::vector<ConformanceCase>& op_cases() {
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

}  // namespace mtrank::testing
