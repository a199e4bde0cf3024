#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <optional>
#include <set>

#include "framework/ops/activation.h"
#include "framework/ops/add.h"
#include "framework/ops/cross.h"
#include "framework/ops/layer_norm.h"
#include "framework/ops/linear.h"
#include "framework/ops/lookup.h"
#include "framework/ops/loss.h"
#include "framework/ops/mixture.h"
#include "framework/ops/mul.h"
#include "framework/ops/product_logit.h"
#include "framework/ops/softmax.h"
#include "tests/support/golden.h"
#include "tests/support/graph_runner.h"
#include "tests/support/weighted_sum.h"

/// Ops against what PyTorch computed for the same numbers: outputs, gradients of inputs and of weights.
namespace mtrank {
namespace {

using testing::golden_case;
using testing::golden_cases;
using testing::GoldenCase;
using testing::GoldenTensor;
using testing::GraphRunner;
using testing::relative_difference;

/// The values of a case as a graph: inputs are rows of tables, one id a row, so that their gradients come out.
class CaseGraph {
 public:
  explicit CaseGraph(const GoldenCase& c) : case_(c), builder_(graph_, true) {
    for (const auto& [name, tensor] : c.group("in.")) {
      if (!c.has("grad_in." + name)) continue;
      const ValueId table = builder_.table(name, tensor.shape[0], tensor.shape[1], {});
      const LookupFeature feature{table, builder_.ids("ids:" + name), Pooling::sum};
      inputs_[name] = lookup(builder_, std::span(&feature, 1)).front();
    }
    for (const auto& [name, tensor] : c.group("weight.")) weights_[name] = add_weight(name, tensor.shape);
  }

  Builder& builder() { return builder_; }
  const Graph& graph() const { return graph_; }
  ValueId in(const std::string& name) const { return inputs_.at(name); }
  ValueId weight(const std::string& name) const {
    const auto it = weights_.find(name);
    return it == weights_.end() ? kNoValue : it->second;
  }

  /// A loss whose gradient with respect to `out` is the case's.
  void finish(ValueId out) {
    testing::weighted_sum(builder_, out, builder_.input("grad_out", builder_.cols(out)));
    graph_.outputs.push_back({"out", out});
    out_ = out;
    differentiate(graph_);
  }
  void finish_loss() { differentiate(graph_); }

  template <class T>
  void fill(GraphRunner<T>& run) const {
    for (const auto& [name, value] : inputs_) {
      assign(run.table(name), case_.at("in." + name));
      run.ids("ids:" + name) = {rows_, nullptr, nullptr};
    }
    for (const auto& [name, value] : weights_) assign(run.param(name), case_.at("weight." + name));
  }

  template <class T>
  static void assign(std::vector<T>& to, const GoldenTensor& from) {
    ASSERT_EQ(to.size(), from.values.size());
    to.assign(from.values.begin(), from.values.end());
  }
  template <class T>
  static std::vector<double> doubles(const std::vector<T>& v) {
    return {v.begin(), v.end()};
  }

  ValueId out() const { return out_; }

 private:
  /// A bias [N] is a value [1, N]; grouped weights [G, K, N] lie below each other, grouped biases side by side.
  ValueId add_weight(const std::string& name, std::vector<int64_t> shape) {
    if (shape.size() == 1) shape = {1, shape[0]};
    if (shape.size() == 3) shape = {shape[0] * shape[1], shape[2]};
    if (name == "b") shape = {1, shape[0] * shape[1]};
    return builder_.param(name, shape[0], shape[1], {});
  }

  static constexpr int32_t rows_[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const GoldenCase& case_;
  Graph graph_;
  Builder builder_;
  std::map<std::string, ValueId> inputs_, weights_;
  ValueId out_ = kNoValue;
};

/// The op of a case, on its inputs and weights. Nothing for an op that is tested elsewhere.
std::optional<ValueId> build(const GoldenCase& c, CaseGraph& g) {
  const std::string op = c.text("op");
  Builder& b = g.builder();
  if (op == "linear") return linear(b, g.in("x"), g.weight("w"), g.weight("b"), c.text("activation"));
  if (op == "grouped_linear" && !c.flag("shared_input"))
    return linear(b, g.in("x"), g.weight("w"), g.weight("b"), c.text("activation"), 3);
  if (op == "cross_combine") return cross(b, g.in("x0"), g.in("u"), g.in("x"));
  if (op == "add") return add(b, {g.in("a"), g.in("b"), g.in("c")});
  if (op == "mul") return mul(b, {g.in("a"), g.in("b"), g.in("c")});
  if (op == "layer_norm") return layer_norm(b, g.in("x"), g.weight("scale"), g.weight("bias"));
  if (op == "softmax") return softmax(b, g.in("x"), 4);
  if (op == "mixture") return mixture(b, g.in("gates"), g.in("experts"), 3);
  if (op == "concat") return b.concat({g.in("a"), g.in("b")}, "joined");
  return std::nullopt;
}

template <class T>
void compare(const GoldenCase& c, const CaseGraph& g, double tolerance) {
  GraphRunner<T> run(g.graph(), c.at("out").shape[0]);
  g.fill(run);
  CaseGraph::assign(run.input("grad_out"), c.at("grad_out"));
  run.run(true);
  EXPECT_LT(relative_difference(CaseGraph::doubles(run.read(g.out())), c.at("out").values), tolerance) << "output";
  run.run();
  for (const auto& [name, want] : c.group("grad_in."))
    EXPECT_LT(relative_difference(CaseGraph::doubles(run.pooled_gradient("ids:" + name)), want.values), tolerance)
        << "gradient of input " << name;
  for (const auto& [name, want] : c.group("grad_weight."))
    EXPECT_LT(relative_difference(CaseGraph::doubles(run.param_gradient(name)), want.values), tolerance)
        << "gradient of weight " << name;
}

std::string print_name(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

/// The names of the cases whose attribute `key` is set and that `wanted` accepts.
std::vector<std::string> names_of(const std::string& key, bool (*wanted)(const GoldenCase&)) {
  std::vector<std::string> names;
  for (const GoldenCase& c : golden_cases("ops"))
    if (!c.text(key).empty() && wanted(c)) names.push_back(c.name());
  return names;
}

class TorchOp : public ::testing::TestWithParam<std::string> {};

TEST_P(TorchOp, OutputAndGradientsAgree) {
  const GoldenCase c = golden_case("ops", GetParam());
  CaseGraph g(c);
  const std::optional<ValueId> out = build(c, g);
  ASSERT_TRUE(out) << "no op for " << c.attributes();
  g.finish(*out);
  compare<double>(c, g, 2e-7);  // what is stored is rounded to float
  compare<float>(c, g, 2e-6);
}

bool is_plain_op(const GoldenCase& c) {
  const std::string op = c.text("op");
  if (c.text("activation") == "gelu_tanh" || c.flag("shared_input")) return false;
  const std::set<std::string> ops{"linear", "grouped_linear", "cross_combine", "softmax", "mixture", "concat", "add",
                                  "mul",    "layer_norm"};
  return ops.count(op) != 0;
}

INSTANTIATE_TEST_SUITE_P(Cases, TorchOp, ::testing::ValuesIn(names_of("op", is_plain_op)), print_name);

class TorchBag : public ::testing::TestWithParam<std::string> {};

Pooling pooling(const std::string& name) {
  return name == "mean" ? Pooling::mean : name == "sqrtn" ? Pooling::sqrtn : Pooling::sum;
}

/// Adds each id's share of its row's pooled gradient to the row of the table it came from.
std::vector<double> scatter(const std::vector<double>& pooled, const IdsView& ids, int64_t rows, size_t table_size,
                            int64_t dim) {
  std::vector<double> out(table_size);
  for (int64_t r = 0; r < rows; ++r) {
    const int32_t begin = ids.offsets ? ids.offsets[r] : static_cast<int32_t>(r);
    const int32_t end = ids.offsets ? ids.offsets[r + 1] : begin + 1;
    for (int32_t i = begin; i < end; ++i)
      for (int64_t d = 0; d < dim && ids.ids[i] >= 0; ++d)
        out[static_cast<size_t>(ids.ids[i] * dim + d)] +=
            (ids.weights ? ids.weights[i] : 1.0) * pooled[static_cast<size_t>(r * dim + d)];
  }
  return out;
}

TEST_P(TorchBag, OutputAndGradientAgree) {
  const GoldenCase c = golden_case("ops", GetParam());
  const GoldenTensor& table = c.at("weight.table");
  const int64_t rows = c.at("out").shape[0], dim = table.shape[1];
  Graph graph;
  Builder b(graph, true);
  const LookupFeature feature{b.table("table", table.shape[0], dim, {}), b.ids("ids"), pooling(c.text("pool"))};
  const ValueId out = lookup(b, std::span(&feature, 1)).front();
  testing::weighted_sum(b, out, b.input("grad_out", dim));
  graph.outputs.push_back({"out", out});
  differentiate(graph);

  GraphRunner<double> run(graph, rows);
  CaseGraph::assign(run.table("table"), table);
  CaseGraph::assign(run.input("grad_out"), c.at("grad_out"));
  const std::vector<int32_t> ids = c.at("in.ids").i32();
  const std::vector<int32_t> offsets = c.has("in.offsets") ? c.at("in.offsets").i32() : std::vector<int32_t>{};
  const std::vector<float> weights = c.has("in.weights") ? c.at("in.weights").f32() : std::vector<float>{};
  const IdsView view{ids.data(), offsets.empty() ? nullptr : offsets.data(),
                     weights.empty() ? nullptr : weights.data()};
  run.ids("ids") = view;
  run.run();
  EXPECT_LT(relative_difference(run.read(out), c.at("out").values), 2e-7);
  const std::vector<double> gradient = scatter(run.pooled_gradient("ids"), view, rows, table.values.size(), dim);
  EXPECT_LT(relative_difference(gradient, c.at("grad_weight.table").values), 2e-7);
}

bool is_bag(const GoldenCase& c) { return c.text("op") == "embedding"; }
INSTANTIATE_TEST_SUITE_P(Cases, TorchBag, ::testing::ValuesIn(names_of("op", is_bag)), print_name);

class TorchLoss : public ::testing::TestWithParam<std::string> {};

template <class T>
void compare_loss(const GoldenCase& c, double tolerance) {
  CaseGraph g(c);
  std::vector<double> parameters;
  for (const Parameter& p : find_loss(c.text("loss"))->parameters)
    parameters.push_back(c.number(std::string(p.name), p.otherwise));
  Builder& b = g.builder();
  ValueId logit = kNoValue;
  if (c.text("trained_as").empty())
    logit = g.in("x");
  else
    logit = product_logit(b, std::vector<ValueId>{g.in("a"), g.in("b")});
  loss(b, c.text("loss"), parameters, "task", logit, b.input("label", 1), b.input("weight", 1), b.scalar("scale"));
  g.finish_loss();
  GraphRunner<T> run(g.graph(), c.at("in.label").shape[0]);
  g.fill(run);
  CaseGraph::assign(run.input("label"), c.at("in.label"));
  CaseGraph::assign(run.input("weight"), c.at("in.weight"));
  const std::vector<double> w = c.at("in.weight").values;
  run.scalar("scale") = 1 / std::accumulate(w.begin(), w.end(), 0.0);
  EXPECT_LT(relative_difference({run.run()}, c.at("out").values), tolerance) << "loss";
  for (const auto& [name, want] : c.group("grad_in.")) {
    std::vector<double> gradient = CaseGraph::doubles(run.pooled_gradient("ids:" + name));
    for (double& d : gradient) d *= c.at("grad_out").values.front();
    EXPECT_LT(relative_difference(gradient, want.values), tolerance) << "gradient of " << name;
  }
}

TEST_P(TorchLoss, ValueAndGradientAgree) {
  const GoldenCase c = golden_case("ops", GetParam());
  compare_loss<double>(c, 2e-7);
  compare_loss<float>(c, 2e-6);
}

bool is_known_loss(const GoldenCase& c) { return find_loss(c.text("loss")); }
INSTANTIATE_TEST_SUITE_P(Cases, TorchLoss, ::testing::ValuesIn(names_of("loss", is_known_loss)), print_name);

/// Finite differences compare a formula with its own derivative only: this is what says that it is the right one.
TEST(TorchOps, EveryActivationAndEveryLossHasACase) {
  std::set<std::string> activations, losses;
  for (const GoldenCase& c : golden_cases("ops"))
    activations.insert(c.text("activation")), losses.insert(c.text("loss"));
  for (const std::string& name : activation_names())
    EXPECT_TRUE(activations.count(name)) << "activation " << name << " has no case in tests/golden/make_ops.py";
  for (const LossInfo& info : all_losses())
    EXPECT_TRUE(losses.count(info.name)) << "loss " << info.name << " has no case in tests/golden/make_ops.py";
}

}  // namespace
}  // namespace mtrank
