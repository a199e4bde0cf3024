#include "cuda/fusion.h"

#include <gtest/gtest.h>

#include <cstring>

#include "cuda/gates.h"
#include "cuda/launch.h"
#include "cuda/losses.h"
#include "cuda/narrow.h"
#include "framework/core/bf16.h"
#include "framework/graph/autodiff.h"
#include "framework/ops/activation.h"
#include "framework/ops/add.h"
#include "framework/ops/cross.h"
#include "framework/ops/linear.h"
#include "framework/ops/loss.h"
#include "framework/ops/losses/losses.h"
#include "framework/ops/mixture.h"
#include "framework/ops/softmax.h"
#include "tests/cuda/device_array.h"

/// What the GPU launches in other pieces than the graph lists it in. Whole steps are in job_launch_test.cpp.
namespace mtrank::cuda {
namespace {

using testing::DeviceArray;

void add_loss(Builder& b, const std::string& task, ValueId logit) {
  Builder::Scope scope(b, task);
  const double p[] = {1.0, 0.0};
  loss(b, "bce", p, task, logit, b.input("label", 1), b.input("weight", 1), b.scalar("scale"));
}

/// Layers of these widths one behind the other, then a logit.
struct LayerOf {
  int64_t width;
  std::string activation = "relu";
  int64_t groups = 1;
};
Graph chain(const std::vector<LayerOf>& layers) {
  Graph graph;
  Builder b(graph, true);
  ValueId x = b.input("x", 16);
  for (size_t i = 0; i < layers.size(); ++i)
    x = dense(b, "layer" + std::to_string(i), x, layers[i].width, layers[i].activation, layers[i].groups);
  add_loss(b, "click", dense(b, "logit", x, 1));
  differentiate(graph);
  return graph;
}

/// The columns of the ReLUs that are fused, from the last layer to the first.
std::vector<int64_t> fused_columns(Graph graph) {
  std::vector<int64_t> columns;
  for (const ReluFusion& relu : fuse(graph).relus) columns.push_back(relu.cols);
  return columns;
}

TEST(CudaFusion, FindsReluLayersThatWideLayersRead) {
  using Columns = std::vector<int64_t>;
  EXPECT_EQ(fused_columns(chain({{24}, {40}, {8}})), (Columns{40, 24})) << "the logit's product is narrow";
  EXPECT_EQ(fused_columns(chain({{24}, {4}, {8}})), Columns{}) << "narrow on one side";
  EXPECT_EQ(fused_columns(chain({{24, "gelu"}, {40, "none"}, {8}})), Columns{});
  EXPECT_EQ(fused_columns(chain({{24}, {256}, {128, "relu", 2}, {24, "relu", 2}, {8}})), Columns{24})
      << "the others are of groups, or read by groups";
}

TEST(CudaFusion, LeavesReluLayersThatOthersReadAlone) {
  Graph graph;
  Builder b(graph, true);
  const ValueId y = dense(b, "first", b.input("x", 16), 24, "relu");
  const ValueId one = dense(b, "one", y, 8), other = dense(b, "other", y, 8);
  add_loss(b, "click", dense(b, "logit", add(b, {one, other}), 1));
  differentiate(graph);
  EXPECT_EQ(fused_columns(graph), std::vector<int64_t>{}) << "their gradients are added";
}

TEST(CudaFusion, TheProductMakesWhatTheGradientDid) {
  Graph graph = chain({{24}, {40}, {8}});
  const Graph before = graph;
  const Fusions fusions = fuse(graph);
  ASSERT_EQ(fusions.relus.size(), 2u);
  ASSERT_EQ(graph.nodes.size(), before.nodes.size());
  for (const ReluFusion& relu : fusions.relus) {
    const OpNode &product = graph.nodes[relu.product], &gradient = graph.nodes[relu.gradient];
    EXPECT_EQ(graph.nodes[relu.forward].outputs[0], gradient.inputs[1]);
    EXPECT_EQ(product.outputs[0], gradient.outputs[0]);
    EXPECT_EQ(gradient.inputs[0], gradient.outputs[0]);
    EXPECT_EQ(gradient.outputs, before.nodes[relu.gradient].outputs);
    EXPECT_LT(relu.forward, relu.product);
    EXPECT_LT(relu.product, relu.gradient);
    EXPECT_EQ(relu.ld(), 128);
    EXPECT_EQ(relu.bytes(5), 5u * 16);
  }
}

/// Bytes of the arena that a value takes.
std::pair<int64_t, int64_t> bytes_of(const Plan& plan, ValueId id) {
  const Place& place = plan.place(id);
  return {place.at, place.at + plan.capacity * place.ld * static_cast<int64_t>(dtype_size(place.dtype))};
}

/// Pairs of losses, one of which writes where the other reads or writes.
int collisions(const Plan& plan, const NodeRange& range) {
  const auto in_arena = [&](ValueId id) { return id != kNoValue && plan.place(id).region == Region::arena; };
  int found = 0;
  for (size_t writer = range.begin; writer < range.end; ++writer)
    for (size_t other = range.begin; other < range.end; ++other) {
      std::vector<ValueId> touched = plan.graph.nodes[other].inputs;
      touched.insert(touched.end(), plan.graph.nodes[other].outputs.begin(), plan.graph.nodes[other].outputs.end());
      for (ValueId out : plan.graph.nodes[writer].outputs)
        for (ValueId id : touched) {
          if (writer == other || !in_arena(out) || !in_arena(id)) continue;
          const auto a = bytes_of(plan, out), b = bytes_of(plan, id);
          found += a.first < b.second && b.first < a.second;
        }
    }
  return found;
}

TEST(CudaFusion, LossesSideBySideHaveMemoryOfTheirOwn) {
  Graph graph;
  Builder b(graph, true);
  const ValueId x = dense(b, "bottom", b.input("x", 16), 8, "tanh");
  for (const char* task : {"a", "b", "c"}) {
    const ValueId logit = dense(b, task, x, 1);
    add_loss(b, std::string(task) + "0", logit);
  }
  std::vector<ValueId> logits;
  for (const char* task : {"d", "e", "f"}) logits.push_back(dense(b, task, x, 1));
  for (size_t t = 0; t < 3; ++t) add_loss(b, "after" + std::to_string(t), logits[t]);
  // Without a backward half nothing else keeps their memory apart.
  const Fusions fusions = fuse(graph);
  ASSERT_EQ(fusions.together.size(), 1u) << "the first two are not neighbours";
  EXPECT_EQ(fusions.together[0].end - fusions.together[0].begin, 3u);
  EXPECT_GT(collisions(make_plan(graph, 64), fusions.together[0]), 0) << "one by one they may share memory";
  const Plan plan = make_plan(graph, 64, DType::f32, fusions.together);
  EXPECT_EQ(collisions(plan, fusions.together[0]), 0);
}

TEST(CudaFusion, GradientsSideBySideHaveMemoryOfTheirOwn) {
  Graph graph = chain({{24, "none"}, {24, "none"}, {8, "none"}});
  const Fusions fusions = fuse(graph);
  ASSERT_EQ(fusions.together.size(), 3u) << "the first layer has no input gradient";
  int collided = 0;
  const Plan plan = make_plan(graph, 64, DType::f32, fusions.together), alone = make_plan(graph, 64);
  for (const NodeRange& pair : fusions.together) {
    ASSERT_EQ(pair.end - pair.begin, 2u);
    EXPECT_EQ(graph.nodes[pair.begin].op, &ops::linear_weight_gradient);
    EXPECT_EQ(graph.nodes[pair.begin + 1].op, &ops::linear_input_gradient);
    EXPECT_EQ(collisions(plan, pair), 0);
    collided += collisions(alone, pair);
  }
  EXPECT_GT(collided, 0) << "one after the other they may share memory";
}

TEST(CudaFusion, FindsBiasesWhoseDzAnElementWiseNodeWrites) {
  Graph graph;
  Builder b(graph, true);
  const ValueId x0 = dense(b, "in", b.input("x", 16), 24, "none");  // its dz is the sum of several gradients
  const ValueId x = cross(b, x0, dense(b, "cross", x0, 24), x0);
  const ValueId y = dense(b, "gelu", x, 40, "gelu");
  add_loss(b, "click", dense(b, "logit", dense(b, "no_bias", y, 8, "relu", 1, false), 1));
  differentiate(graph);
  std::vector<std::string> layers;
  for (const BiasFusion& bias : fuse(graph).biases) {
    const OpNode& reader = graph.nodes[bias.writer + 1];
    EXPECT_EQ(graph.nodes[bias.writer].outputs[bias.output], reader.inputs[1]);
    layers.push_back(graph.value(reader.outputs[1]).name);
  }
  EXPECT_EQ(layers, (std::vector<std::string>{"d(gelu/bias)", "d(cross/bias)"}));
}

TEST(CudaFusion, LossesOfOneLaunchHaveTheBitsOfMany) {
  if (!testing::has_device()) GTEST_SKIP() << "no device";
  constexpr int64_t kRows = 2500, kOwn = 2311;
  constexpr size_t kTasks = 70;  // more than one launch takes
  const auto noise = [](int64_t n, unsigned seed, float low, float high) {
    std::vector<float> values(static_cast<size_t>(n));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = low + (high - low) * static_cast<float>((i * 2654435761u + seed * 40503u) % 1009) / 1008.0f;
    return values;
  };
  DeviceArray<DeviceStep> step(std::vector<DeviceStep>{{1, 1, 0, kOwn}});
  DeviceArray<std::byte> scratch(Context::kScratch);
  DeviceArray<double> scale(std::vector<double>{0.125}), losses(2 * kTasks);
  DeviceArray<float> z(noise(kRows * kTasks, 1, -4, 4)), y(noise(kRows, 2, 0, 1)), w(noise(kRows, 3, -0.5f, 1));
  DeviceArray<float> dz(2 * kRows * kTasks);
  Context context{.step = step.get(), .scratch = scratch.get()};
  MTRANK_CUDA(cudaStreamCreate(&context.stream));
  const auto column = [&](float* at) { return DeviceView{.data = at, .rows = kRows, .cols = 1, .ld = 1}; };

  std::vector<OpNode> nodes;
  std::vector<std::vector<DeviceView>> in, out;
  for (size_t t = 0; t < 2 * kTasks; ++t) {
    const auto all = all_losses();
    nodes.push_back({&ops::loss, "", {}, {}, {0, 0}, {{"type", std::string(all[t % kTasks % all.size()].name)}}});
    in.push_back({column(z.get() + t % kTasks * kRows), column(y.get()), column(w.get()), {.data = scale.get()}});
    out.push_back({{.data = losses.get() + t}, column(dz.get() + t * kRows)});
  }
  std::vector<Call> calls;
  for (size_t t = 0; t < 2 * kTasks; ++t)
    calls.push_back({nodes[t], in[t], out[t], nodes[t].accumulate, kRows, 1, context});
  testing::in_several_orders([&] {
    launch_losses(std::span(calls).first(kTasks));
    for (size_t t = kTasks; t < 2 * kTasks; ++t) launches::loss(calls[t]);
    MTRANK_CUDA(cudaStreamSynchronize(context.stream));
    const std::vector<double> sums = losses.values();
    const std::vector<float> slopes = dz.values();
    for (size_t t = 0; t < kTasks; ++t) EXPECT_EQ(sums[t], sums[kTasks + t]) << nodes[t].attributes.text("type");
    EXPECT_TRUE(std::equal(slopes.begin(), slopes.begin() + kRows * kTasks, slopes.begin() + kRows * kTasks));
    EXPECT_NE(sums[0], sums[1]);
  });
  cudaStreamDestroy(context.stream);
}

/// A value on the device, and where it is kept after one of two ways to make it.
template <class T>
struct Kept {
  int64_t cols;
  DeviceArray<T> array;
  std::vector<T> start, first = {};
  Kept(int64_t rows, int64_t cols, unsigned seed) : cols(cols), array(static_cast<size_t>(rows * cols)) {
    for (int64_t i = 0; i < rows * cols; ++i)
      start.push_back(from_float<T>(static_cast<float>((i * 2654435761 + seed * 40503) % 1009) / 250.0f - 2));
  }
  DeviceView view(int64_t rows) {
    return {.data = array.get(),
            .rows = rows,
            .cols = cols,
            .ld = cols,
            .dtype = std::is_same_v<T, bf16> ? DType::bf16 : DType::f32};
  }
};

template <class T>
void expect_gated_like_two_launches(int64_t experts, int64_t tasks, int64_t width, uint8_t add) {
  constexpr int64_t kRows = 77;
  Context context;
  MTRANK_CUDA(cudaStreamCreate(&context.stream));
  Kept<T> logits(kRows, tasks * experts, 1), gates(kRows, tasks * experts, 2), x(kRows, experts * width, 3);
  Kept<T> y(kRows, tasks * width, 4), dy(kRows, tasks * width, 5), dgates(kRows, tasks * experts, 6);
  Kept<T> dx(kRows, experts * width, 7), dlogits(kRows, tasks * experts, 8);
  const OpNode softmax{&ops::softmax, "", {}, {}, {0}, {{"size", experts}}};
  const OpNode mixture{&ops::mixture, "", {}, {}, {0}, {{"experts", experts}}};
  const OpNode mixture_gradient{&ops::mixture_gradient, "", {}, {}, {0, add}, {{"experts", experts}}};
  const OpNode softmax_gradient{&ops::softmax_gradient, "", {}, {}, {add}, {{"size", experts}}};
  const auto views = [&](auto&... kept) { return std::vector<DeviceView>{kept.view(kRows)...}; };
  const auto of_softmax = views(logits), to_softmax = views(gates), of_mixture = views(gates, x), to_mixture = views(y);
  const auto of_gradient = views(dy, gates, x), to_gradient = views(dgates, dx);
  const auto of_logits = views(dgates, gates), to_logits = views(dlogits);
  const auto call = [&](const OpNode& node, const auto& in, const auto& out) {
    return Call{node, in, out, node.accumulate, kRows, 1, context};
  };
  const Call one = call(softmax, of_softmax, to_softmax), two = call(mixture, of_mixture, to_mixture);
  const Call three = call(mixture_gradient, of_gradient, to_gradient),
             four = call(softmax_gradient, of_logits, to_logits);
  const auto all = {&logits, &gates, &x, &y, &dy, &dgates, &dx, &dlogits};
  for (Kept<T>* value : all) value->array.set(value->start);
  launches::softmax(one);
  launches::mixture(two);
  launches::mixture_gradient(three);
  launches::softmax_gradient(four);
  for (Kept<T>* value : all) value->first = value->array.values();
  EXPECT_NE(std::memcmp(gates.first.data(), gates.start.data(), gates.start.size() * sizeof(T)), 0);
  testing::in_several_orders([&] {
    for (Kept<T>* value : all) value->array.set(value->start);
    launch_gated(one, two);
    launch_gated_gradient(three, four);
    for (Kept<T>* value : all)
      EXPECT_EQ(std::memcmp(value->array.values().data(), value->first.data(), value->first.size() * sizeof(T)), 0)
          << experts << " experts of " << width << ", " << tasks << " tasks";
  });
  cudaStreamDestroy(context.stream);
}

TEST(CudaFusion, AGatedMixtureHasTheBitsOfTwoLaunches) {
  if (!testing::has_device()) GTEST_SKIP() << "no device";
  for (const int64_t experts : {1, 2, 3, 4, 6, 8, 11, 16})
    for (const auto& [tasks, width] : {std::pair{int64_t{1}, int64_t{7}}, {3, 64}, {9, 300}}) {
      expect_gated_like_two_launches<float>(experts, tasks, width, 0);
      expect_gated_like_two_launches<bf16>(experts, tasks, width, 1);
    }
}

/// The sum of `count` numbers as 8 warps make it: warp w adds w, w + 8, ...; then the warps in order.
template <class F>
float sum_of_warps(int64_t count, const F& number) {
  float total = 0;
  for (int64_t w = 0; w < 8; ++w) {
    float sum = 0;
    for (int64_t i = w; i < count; i += 8) sum += number(i);
    total += sum;
  }
  return total;
}

/// A gradient that sums its dz over the rows besides: dz, the sums of blocks of rows, and their sum are those of loops.
template <class T>
void expect_dz_and_its_sums(int64_t rows, int64_t cols, uint8_t add) {
  const int64_t ld = round_up(cols, 32), block_rows = std::max<int64_t>(64, round_up(ceil_div(rows, 256), 8));
  const int64_t blocks = ceil_div(rows, block_rows);
  DeviceArray<std::byte> scratch(Context::kScratch);
  Context context{.scratch = scratch.get()};
  MTRANK_CUDA(cudaStreamCreate(&context.stream));
  Kept<T> dy(rows, ld, 1), x0(rows, ld, 2), u(rows, ld, 3), dx0(rows, ld, 4), du(rows, ld, 5);
  DeviceArray<float> sums(static_cast<size_t>(cols)), alone(static_cast<size_t>(cols));
  for (Kept<T>* value : {&dy, &x0, &u}) value->array.set(value->start);
  BiasSums bias;
  const auto view = [&](Kept<T>& value, BiasSums* summed = nullptr) {
    DeviceView v = value.view(rows);
    v.cols = cols, v.sums = summed;
    return v;
  };
  const OpNode node{&ops::cross_gradient, "", {}, {}, {0, add}, {{"residual", int64_t{0}}}};
  const std::vector<DeviceView> in{view(dy), view(x0), view(u)}, out{view(dx0), view(du, &bias)};
  testing::in_several_orders([&] {
    bias = {reinterpret_cast<float*>(scratch.get()), false};
    for (Kept<T>* value : {&dx0, &du}) value->array.set(value->start);
    launches::cross_gradient({node, in, out, node.accumulate, rows, 1, context});
    ASSERT_TRUE(bias.made);
    finish_column_sums(bias.partial, rows, cols, sums.get(), false, context);
    column_sums(out[1], rows, alone.get(), false, context);
    const std::vector<T> first = dx0.array.values(), second = du.array.values();
    const std::vector<float> made = sums.values(), made_alone = alone.values();
    int64_t wrong = 0;
    for (int64_t c = 0; c < ld; ++c) {
      double exact = 0, size = 0;
      const auto at = [&](const std::vector<T>& values, int64_t r) {
        return to_float(values[static_cast<size_t>(r * ld + c)]);
      };
      for (int64_t r = 0; r < rows; ++r) {
        const bool gap = c >= cols;
        const float to_x0 = at(dy.start, r) * at(u.start, r), to_u = at(dy.start, r) * at(x0.start, r);
        wrong += at(first, r) != (gap ? at(dx0.start, r) : to_float(from_float<T>(to_x0)));
        wrong +=
            at(second, r) != (gap ? at(du.start, r) : to_float(from_float<T>(add ? at(du.start, r) + to_u : to_u)));
        exact += static_cast<double>(at(second, r)), size += std::abs(static_cast<double>(at(second, r)));
      }
      if (c >= cols) continue;
      const float sum = made[static_cast<size_t>(c)];
      EXPECT_NEAR(sum, exact, 1e-6 * size) << "column " << c;
      EXPECT_EQ(sum, sum_of_warps(blocks,
                                  [&](int64_t b) {
                                    const int64_t begin = b * block_rows;
                                    return sum_of_warps(std::min(block_rows, rows - begin),
                                                        [&](int64_t r) { return at(second, begin + r); });
                                  }))
          << "column " << c;
      EXPECT_EQ(sum, made_alone[static_cast<size_t>(c)]) << "column " << c << ": summed by a kernel of its own";
    }
    EXPECT_EQ(wrong, 0) << "numbers that are not those of the formula";
  });
  cudaStreamDestroy(context.stream);
}

TEST(CudaFusion, ADzIsSummedWhereItIsMade) {
  if (!testing::has_device()) GTEST_SKIP() << "no device";
  for (const auto& [rows, cols] : {std::pair{int64_t{1}, int64_t{8}}, {63, 3}, {65, 300}, {200, 129}, {16500, 5}}) {
    SCOPED_TRACE(std::to_string(rows) + " rows of " + std::to_string(cols));
    expect_dz_and_its_sums<float>(rows, cols, 0);
    expect_dz_and_its_sums<bf16>(rows, cols, 1);
  }
}

TEST(CudaFusion, ADzThatIsNotAlignedIsNotSummedWhereItIsMade) {
  if (!testing::has_device()) GTEST_SKIP() << "no device";
  constexpr int64_t kRows = 9, kCols = 6;
  Context context;
  Kept<float> dy(kRows, kCols, 1), y(kRows, kCols, 2), dz(kRows, kCols + 1, 3);
  for (Kept<float>* value : {&dy, &y, &dz}) value->array.set(value->start);
  BiasSums bias;
  DeviceView to = dz.view(kRows);
  to.data = dz.array.get() + 1, to.cols = kCols, to.sums = &bias;
  const OpNode node{&ops::activation_gradient, "", {}, {}, {0}, {{"activation", std::string("relu")}}};
  const std::vector<DeviceView> in{dy.view(kRows), y.view(kRows), {}}, out{to};
  launches::activation_gradient({node, in, out, node.accumulate, kRows, 1, context});
  EXPECT_FALSE(bias.made);
  const std::vector<float> made = dz.array.values();
  for (size_t r = 0; r < kRows; ++r)
    for (size_t c = 0; c < kCols; ++c)
      EXPECT_EQ(made[r * (kCols + 1) + c + 1], y.start[r * kCols + c] > 0 ? dy.start[r * kCols + c] : 0);
}

TEST(CudaFusion, FindsGatesAndTheirMixture) {
  for (const int64_t experts : {4, kGatesTogether, kGatesTogether + 1}) {
    Graph graph;
    Builder b(graph, true);
    const ValueId x = b.input("x", 16);
    const ValueId all = dense(b, "experts", x, 8 * experts);
    const ValueId y = mixture(b, softmax(b, dense(b, "gates", x, 2 * experts), experts), all, experts);
    add_loss(b, "click", dense(b, "logit", y, 1));
    differentiate(graph);
    int found = 0;
    for (const NodeRange& range : fuse(graph).together)
      found += graph.nodes[range.begin].op == &ops::softmax || graph.nodes[range.begin].op == &ops::mixture_gradient;
    EXPECT_EQ(found, experts > kGatesTogether ? 0 : 2) << experts;
  }
}

/// The gradient of gates that are a softmax and something else is handed to the softmax as it is.
TEST(CudaFusion, GatesThatAreNoSoftmaxAreLeftAlone) {
  Graph graph;
  Builder b(graph, true);
  const ValueId x = b.input("x", 16);
  const ValueId all = dense(b, "experts", x, 32);
  const ValueId gates = add(b, {b.input("given", 8), softmax(b, dense(b, "gates", x, 8), 4)});
  add_loss(b, "click", dense(b, "logit", mixture(b, gates, all, 4), 1));
  differentiate(graph);
  int found = 0, beside = 0;
  for (size_t n = 0; n + 1 < graph.nodes.size(); ++n)
    beside += graph.nodes[n].op == &ops::mixture_gradient && graph.nodes[n + 1].op == &ops::softmax_gradient;
  EXPECT_EQ(beside, 1);
  for (const NodeRange& range : fuse(graph).together)
    found += graph.nodes[range.begin].op == &ops::softmax || graph.nodes[range.begin].op == &ops::mixture_gradient;
  EXPECT_EQ(found, 0);
}

}  // namespace
}  // namespace mtrank::cuda
