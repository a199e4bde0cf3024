#include "framework/ops/lookup.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cuda/call.h"
#include "framework/core/bf16.h"
#include "framework/core/philox.h"
#include "framework/core/reduce.h"
#include "framework/embedding/init.h"
#include "tests/cuda/device_array.h"

/// Lookups and their gradients on the GPU: the bits of the CPU.
namespace mtrank {
namespace {

using testing::DeviceArray;

struct FeatureCase {
  int64_t dim = 16;
  int most = 6;  ///< ids of a list; 0: one id a row
  Pooling pool = Pooling::sum;
  bool weighted = false;
  int64_t shift = 0;  ///< columns by which outputs and gradients are moved from where they are aligned
};

constexpr int64_t kTableRows = 30;

struct Drawn {
  std::vector<int32_t> ids, offsets;
  std::vector<float> weights, table, dy;
};

Drawn draw(const FeatureCase& f, int64_t rows, uint64_t seed) {
  Drawn out;
  const Philox random(seed, "test", "feature");
  const auto below = [&](uint64_t stream, size_t i, int64_t n) {
    return static_cast<int32_t>(uniform_below(static_cast<uint32_t>(n), random(stream, i)[0], 0));
  };
  if (f.most > 0) out.offsets.push_back(0);
  for (int64_t r = 0; r < rows; ++r) {
    const int count = f.most > 0 ? below(0, static_cast<size_t>(r), f.most + 1) : 1;
    for (int k = 0; k < count; ++k) {
      const size_t i = out.ids.size();
      out.ids.push_back(below(1, i, kTableRows + 4) - 4);  // some below 0
      if (out.ids.back() < 0) out.ids.back() = -1;
      if (f.weighted)
        out.weights.push_back(uniform01(random(2, i)[0]) < 0.2f ? 0.0f : uniform01(random(3, i)[0]) - 0.2f);
    }
    if (f.most > 0) out.offsets.push_back(static_cast<int32_t>(out.ids.size()));
  }
  out.table.resize(static_cast<size_t>(kTableRows * f.dim));
  out.dy.resize(static_cast<size_t>(rows * f.dim));
  fill_weights({WeightInit::Kind::normal, 1, 0}, Philox(seed, "test", "table"), 0, kTableRows * f.dim,
               out.table.data());
  fill_weights({WeightInit::Kind::normal, 1, 0}, Philox(seed, "test", "dy"), 0, rows * f.dim, out.dy.data());
  return out;
}

Attributes pools(const std::vector<FeatureCase>& features) {
  std::vector<int64_t> out;
  for (const FeatureCase& f : features) out.push_back(static_cast<int64_t>(f.pool));
  return {{"pool", out}};
}

/// What the CPU's kernel of an op gives; `first` are the tables or the gradients dy.
std::vector<std::vector<float>> on_cpu(const Op& op, const std::vector<FeatureCase>& features,
                                       const std::vector<Drawn>& drawn, int64_t rows, bool low) {
  std::vector<std::vector<float>> out(features.size()), dy(features.size());
  std::vector<IdsView> ids(features.size());
  std::vector<View> in, outputs;
  for (size_t f = 0; f < features.size(); ++f) {
    const int64_t dim = features[f].dim;
    const Drawn& d = drawn[f];
    ids[f] = {d.ids.data(), d.offsets.empty() ? nullptr : d.offsets.data(),
              d.weights.empty() ? nullptr : d.weights.data()};
    dy[f] = d.dy;
    if (low)
      for (float& x : dy[f]) x = to_float(to_bf16(x));
    in.push_back(&op == &ops::lookup ? View{const_cast<float*>(d.table.data()), kTableRows, dim, dim}
                                     : View{dy[f].data(), rows, dim, dim});
    in.push_back({.data = &ids[f]});
    out[f].resize(static_cast<size_t>(rows * dim));
    outputs.push_back({out[f].data(), rows, dim, dim});
  }
  OpNode node;
  node.op = &op;
  node.attributes = pools(features);
  const StepInfo step;
  Scratch scratch;
  op.cpu_f32({node, in, outputs, {}, rows, 0, step, scratch});
  if (low)
    for (auto& values : out)
      for (float& x : values) x = to_float(to_bf16(x));
  return out;
}

/// A value of the device whose rows begin `shift` columns after a multiple of 16 bytes.
template <class T>
struct Shifted {
  Shifted(int64_t rows_, int64_t cols_, int64_t shift_)
      : rows(rows_),
        cols(cols_),
        shift(shift_),
        ld((cols + shift + 7) / 8 * 8),
        array(static_cast<size_t>(rows * ld)) {}
  cuda::DeviceView view() const {
    return {.data = array.get() + shift,
            .rows = rows,
            .cols = cols,
            .ld = ld,
            .dtype = sizeof(T) == 2 ? DType::bf16 : DType::f32};
  }
  void set(const std::vector<float>& values) {
    std::vector<T> padded(array.size());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c)
        padded[static_cast<size_t>(r * ld + shift + c)] = from_float<T>(values[static_cast<size_t>(r * cols + c)]);
    array.set(std::span<const T>(padded));
  }
  std::vector<float> get() const {
    const std::vector<T> padded = array.values();
    std::vector<float> out;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) out.push_back(to_float(padded[static_cast<size_t>(r * ld + shift + c)]));
    return out;
  }
  int64_t rows, cols, shift, ld;
  DeviceArray<T> array;
};

struct Result {
  std::vector<std::vector<float>> values;
  std::vector<uint32_t> largest;
};

template <class T>
Result on_gpu(const Op& op, const std::vector<FeatureCase>& features, const std::vector<Drawn>& drawn, int64_t rows,
              const std::vector<uint8_t>& wanted = {}) {
  const bool forward = &op == &ops::lookup;
  std::vector<DeviceArray<int32_t>> numbers;
  std::vector<DeviceArray<float>> floats;
  std::vector<Shifted<T>> outputs, gradients;
  std::vector<cuda::DeviceIds> ids(features.size());
  std::vector<cuda::DeviceView> in, out;
  const DeviceArray<uint32_t> largest(std::vector<uint32_t>(features.size(), 0));
  for (size_t f = 0; f < features.size(); ++f) {
    const Drawn& d = drawn[f];
    const int64_t dim = features[f].dim;
    ids[f].ids = numbers.emplace_back(d.ids).get();
    if (!d.offsets.empty()) ids[f].offsets = numbers.emplace_back(d.offsets).get();
    if (!d.weights.empty()) ids[f].weights = floats.emplace_back(d.weights).get();
    if (forward) {
      in.push_back({.data = floats.emplace_back(d.table).get(), .rows = kTableRows, .cols = dim, .ld = dim});
    } else {
      gradients.emplace_back(rows, dim, features[f].shift).set(d.dy);
      in.push_back(gradients.back().view());
    }
    in.push_back({.data = &ids[f]});
    out.push_back(outputs.emplace_back(rows, dim, features[f].shift).view());
    if (!forward) out.back().largest = largest.get() + f;
    if (!wanted.empty() && !wanted[f]) out.back().data = nullptr;
  }
  OpNode node;
  node.op = &op;
  node.attributes = pools(features);
  const cuda::Context context;
  const cuda::Call call{node, in, out, {}, rows, 0, context};
  forward ? cuda::launches::lookup(call) : cuda::launches::lookup_gradient(call);
  Result result;
  for (const auto& o : outputs) result.values.push_back(o.get());
  result.largest = largest.values();
  return result;
}

std::vector<Drawn> draw_all(const std::vector<FeatureCase>& features, int64_t rows) {
  std::vector<Drawn> out;
  for (size_t f = 0; f < features.size(); ++f) out.push_back(draw(features[f], rows, f + 1));
  return out;
}

template <class T>
void expect_as_cpu(const std::vector<FeatureCase>& features, int64_t rows) {
  const std::vector<Drawn> drawn = draw_all(features, rows);
  for (const Op* op : {&ops::lookup, &ops::lookup_gradient}) {
    const auto want = on_cpu(*op, features, drawn, rows, sizeof(T) == 2);
    const Result got = on_gpu<T>(*op, features, drawn, rows);
    for (size_t f = 0; f < features.size(); ++f) {
      EXPECT_EQ(got.values[f], want[f]) << op->name << ", feature " << f << " of " << features[f].dim << " columns";
      if (op == &ops::lookup_gradient) {
        EXPECT_EQ(got.largest[f], lanes::max_abs_bits(want[f].data(), static_cast<int64_t>(want[f].size())));
      }
    }
  }
}

class CudaLookup : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::has_device()) GTEST_SKIP() << "no CUDA device";
  }
};

std::vector<FeatureCase> all_kinds(int64_t dim) {
  std::vector<FeatureCase> out = {{dim, 0}};
  for (const Pooling pool : {Pooling::sum, Pooling::mean, Pooling::sqrtn})
    for (const bool weighted : {false, true}) out.push_back({dim, 11, pool, weighted});
  return out;
}

TEST_F(CudaLookup, EveryWidthAndPooling) {
  for (const int64_t dim : {1, 2, 3, 4, 10, 12, 16, 64, 100, 128, 200}) {
    expect_as_cpu<float>(all_kinds(dim), 37);
    expect_as_cpu<bf16>(all_kinds(dim), 37);
  }
}

TEST_F(CudaLookup, ColumnsOfAWiderValueThatAreNotAligned) {
  std::vector<FeatureCase> features;
  for (const int64_t dim : {1, 4, 16, 17}) features.push_back({.dim = dim, .shift = 1});
  features.push_back({.dim = 16, .shift = 4});
  expect_as_cpu<float>(features, 21);
  expect_as_cpu<bf16>(features, 21);
}

TEST_F(CudaLookup, MoreFeaturesThanALaunchTakes) {
  std::vector<FeatureCase> features;
  for (int f = 0; f < 110; ++f) features.push_back({.dim = f % 3 == 0 ? 3 : 8, .most = f % 2 == 0 ? 0 : 2});
  expect_as_cpu<float>(features, 5);
}

TEST_F(CudaLookup, LeavesOutWhatIsNotWanted) {
  const std::vector<FeatureCase> features = {{8}, {8}, {4}};
  const auto drawn = draw_all(features, 9);
  for (const Op* op : {&ops::lookup, &ops::lookup_gradient}) {
    const auto all = on_gpu<float>(*op, features, drawn, 9).values;
    const auto some = on_gpu<float>(*op, features, drawn, 9, {1, 0, 1}).values;
    EXPECT_EQ(some[0], all[0]);
    EXPECT_NE(some[1], all[1]);
    EXPECT_EQ(some[2], all[2]);
  }
}

TEST_F(CudaLookup, ANotFiniteGradientIsTheLargest) {
  const std::vector<FeatureCase> features = {{16, 0}, {16, 0}, {16, 0}};
  auto drawn = draw_all(features, 50);
  drawn[0].dy[123] = -std::numeric_limits<float>::infinity();
  drawn[1].dy[7] = std::numeric_limits<float>::quiet_NaN();
  drawn[1].dy[700] = std::numeric_limits<float>::infinity();
  drawn[2].dy[99] = -3.39e38f;  // infinite as bf16
  const auto magnitude = [](uint32_t bits) { return math::detail::from_bits(bits); };
  for (const auto& largest : {on_gpu<float>(ops::lookup_gradient, features, drawn, 50).largest,
                              on_gpu<bf16>(ops::lookup_gradient, features, drawn, 50).largest}) {
    EXPECT_EQ(magnitude(largest[0]), std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isnan(magnitude(largest[1])));
    EXPECT_GT(magnitude(largest[2]), 3.3e38f);
  }
}

TEST_F(CudaLookup, TheSameBitsInAnyOrderOfThreads) {
  const auto features = all_kinds(10);
  const auto drawn = draw_all(features, 64);
  for (const Op* op : {&ops::lookup, &ops::lookup_gradient}) {
    const Result first = on_gpu<bf16>(*op, features, drawn, 64);
    testing::in_several_orders([&] {
      const Result again = on_gpu<bf16>(*op, features, drawn, 64);
      EXPECT_EQ(again.values, first.values);
      EXPECT_EQ(again.largest, first.largest);
    });
  }
}

}  // namespace
}  // namespace mtrank
