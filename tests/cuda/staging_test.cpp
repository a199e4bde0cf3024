#include "cuda/staging.h"

#include <gtest/gtest.h>

#include "framework/core/thread_pool.h"
#include "framework/graph/plan.h"
#include "framework/ops/linear.h"
#include "framework/ops/lookup.h"
#include "tests/cuda/device_array.h"

/// A batch on its way to the GPU.
namespace mtrank::cuda {
namespace {

constexpr int64_t kCapacity = 5, kCols = 3;

/// A feature with one id a row, one with weighted lists, and three numbers.
Graph model() {
  Graph graph;
  Builder b(graph, false);
  const ValueId table = b.table("t", 100, 4, {});
  const std::vector<LookupFeature> features{{table, b.ids("one"), Pooling::sum}, {table, b.ids("list"), Pooling::sum}};
  const std::vector<ValueId> pooled = lookup(b, features);
  const ValueId y = dense(b, "y", b.concat({pooled[0], pooled[1], b.input("x", kCols)}, "all"), 1);
  graph.outputs.push_back({"y", y});
  graph.forward_nodes = graph.nodes.size();
  return graph;
}

template <class T>
std::vector<T> read(const void* from, int64_t n) {
  std::vector<T> out(static_cast<size_t>(n));
  MTRANK_CUDA(cudaMemcpy(out.data(), from, out.size() * sizeof(T), cudaMemcpyDeviceToHost));
  return out;
}

/// A slot of the model's batches on the device.
struct Staged {
  explicit Staged(int shards)
      : layout(plan, shards, {{"one"}, {.name = "list", .list = true, .weighted = true, .per_row = 2}}, 8) {
    slot.reserve(memory_);
    memory_.allocate();
    slot.bind(memory_);
  }
  void stage(const HostBatch& batch) {
    slot.fill(batch, pool_);
    slot.copy(nullptr, layout.bytes());
    slot.unpack(nullptr);
    MTRANK_CUDA(cudaDeviceSynchronize());
  }

  const Plan plan = make_plan(model(), kCapacity);
  const StagedLayout layout;
  Slot slot{plan, layout};

 private:
  DeviceMemory memory_;
  ThreadPool pool_{2};
};

TEST(CudaStaging, RowsThatABatchLacksHaveNoIdsAndZeros) {
  if (!testing::has_device()) GTEST_SKIP() << "no CUDA device";
  Staged staged(1);
  ASSERT_EQ(staged.plan.ids.size(), 2u);
  std::vector<int32_t> one{7, 8, 9, 10, 11}, list{90, 91, 1, 2, 3, 4, 5, 6, 12, 13}, offsets{0, 2, 4, 6, 8, 10};
  std::vector<float> weights{-1, -2, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4}, x(kCapacity * kCols);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  /// Rows [first, first + rows), as a batch that is cut out of a larger one.
  const auto stage = [&](int64_t first, int64_t rows) {
    const View input{x.data() + first * kCols, rows, kCols, kCols};
    const IdsView ids[] = {{one.data() + first, nullptr, nullptr},
                           {list.data(), offsets.data() + first, weights.data()}};
    staged.stage({.rows = rows, .inputs = {&input, 1}, .ids = ids, .scalars = {}});
  };
  stage(0, kCapacity);  // what it leaves must not be seen
  stage(1, 2);
  const Slot& slot = staged.slot;
  EXPECT_EQ(read<int32_t>(slot.ids()[0].ids, kCapacity), (std::vector<int32_t>{8, 9, -1, -1, -1}));
  EXPECT_EQ(read<int32_t>(slot.ids()[1].offsets, kCapacity + 1), (std::vector<int32_t>{0, 2, 4, 4, 4, 4}));
  EXPECT_EQ(read<int32_t>(slot.ids()[1].ids, 4), (std::vector<int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(read<float>(slot.ids()[1].weights, 4), (std::vector<float>{0.5, 1, 1.5, 2}));
  const DeviceView& input = slot.inputs()[0];
  ASSERT_GE(input.ld, kCols);
  for (int64_t r = 0; r < kCapacity; ++r)
    EXPECT_EQ(read<float>(input.as<float>() + r * input.ld, kCols),
              r < 2 ? std::vector<float>(x.begin() + (r + 1) * kCols, x.begin() + (r + 2) * kCols)
                    : std::vector<float>(kCols, 0.0f))
        << "row " << r;
}

TEST(CudaStaging, EveryLogicalShardHasAsManyRows) {
  if (!testing::has_device()) GTEST_SKIP() << "no CUDA device";
  Staged staged(2);
  const Slot& slot = staged.slot;
  const int64_t stride = staged.layout.shard_rows();
  EXPECT_EQ(stride, 16);
  EXPECT_EQ(staged.layout.rows(), 32);
  const std::vector<int32_t> one{7, 8, 9, 10, 11}, list{1, 2, 3, 4, 5, 6}, offsets{0, 2, 2, 3, 5, 6};
  const std::vector<float> weights{.5, 1, 1.5, 2, 2.5, 3};
  std::vector<float> x(kCapacity * kCols);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  const View input{x.data(), kCapacity, kCols, kCols};
  const IdsView ids[] = {{one.data(), nullptr, nullptr}, {list.data(), offsets.data(), weights.data()}};
  for (const int64_t rows : {5, 1}) {  // 2 and 3; none and 1
    staged.stage({.rows = rows, .inputs = {&input, 1}, .ids = ids, .scalars = {}});
    const auto single = read<int32_t>(slot.ids()[0].ids, 2 * stride);
    const auto begins = read<int32_t>(slot.ids()[1].offsets, 2 * stride + 1);
    const int64_t half = rows / 2;
    for (int64_t r = 0; r < 2 * stride; ++r) {
      const int64_t shard = r / stride, sample = shard * half + r % stride;
      const bool padding = sample >= (shard == 0 ? half : rows);
      EXPECT_EQ(single[static_cast<size_t>(r)], padding ? -1 : one[static_cast<size_t>(sample)]) << r;
      const int32_t expected =
          padding ? 0 : offsets[static_cast<size_t>(sample) + 1] - offsets[static_cast<size_t>(sample)];
      EXPECT_EQ(begins[static_cast<size_t>(r) + 1] - begins[static_cast<size_t>(r)], expected) << r;
      if (expected > 0) {
        EXPECT_EQ(begins[static_cast<size_t>(r)], offsets[static_cast<size_t>(sample)]) << r;
      }
      if (r % stride >= kCapacity) continue;  // which nothing reads
      const DeviceView& wide = slot.inputs()[0];
      const auto values = read<float>(wide.as<float>() + r * wide.ld, kCols);
      for (int64_t c = 0; c < kCols; ++c)
        EXPECT_EQ(values[static_cast<size_t>(c)], padding ? 0 : x[static_cast<size_t>(sample * kCols + c)]) << r;
    }
    EXPECT_EQ(read<int32_t>(slot.ids()[1].ids, offsets[static_cast<size_t>(rows)]),
              std::vector<int32_t>(list.begin(), list.begin() + offsets[static_cast<size_t>(rows)]));
    EXPECT_EQ(read<float>(slot.ids()[1].weights, offsets[static_cast<size_t>(rows)]),
              std::vector<float>(weights.begin(), weights.begin() + offsets[static_cast<size_t>(rows)]));
  }
}

}  // namespace
}  // namespace mtrank::cuda
