#include "tests/cuda/sparse_update_testing.h"

namespace mtrank {
namespace {

using namespace sparse_testing;

TEST_F(CudaSparseUpdate, RowsWithManyLookups) {
  // Up to 4,096 lookups of a row: blocks of 64, then the blocks in order, as on the CPU.
  for (const double hot : {0.3, 0.9, 1.0})
    for (const int64_t dim : {3, 16, 132})
      expect_as_cpu({.name = "hot " + std::to_string(hot) + " dim " + std::to_string(dim),
                     .tables = {{40, dim}, {3000, dim}},
                     .features = {{0, Kind::single, 1, hot}, {0, Kind::list, 9, hot}, {1, Kind::list, 9, hot}},
                     .batch = 800,
                     .room = 800});
}

TEST_F(CudaSparseUpdate, RowsAtTheEdgesOfBlocks) {
  for (const int64_t each : {1, 63, 64, 65, 66, 127, 128, 129, 193, 4095, 4096})
    expect_as_cpu({.name = std::to_string(each) + " lookups a row",
                   .tables = {{5000, 4}},
                   .features = {{0, Kind::list, 10, 0, 0, each}},
                   .batch = 500,
                   .room = 500,
                   .steps = 1});
}

TEST_F(CudaSparseUpdate, ABatchThatFillsItsRoomToTheEndOfATile) {
  for (const int64_t batch : {512, 1024})  // of 4 ids: 2,048 to a tile, and a row to an id
    expect_as_cpu({.name = std::to_string(4 * batch) + " lookups",
                   .tables = {{5000, 4}},
                   .features = {{0, Kind::list, 4, 0, 0, 1}},
                   .batch = batch,
                   .room = batch,
                   .steps = 1});
}

TEST_F(CudaSparseUpdate, LimitsCountLookupsAndFindTheHeaviest) {
  const Case c{.name = "limits",
               .tables = {{30, 16}, {30, 3}, {30, 3}, {30, 16}},
               .features = {{3, Kind::single}, {0, Kind::weighted}, {1, Kind::list}, {2, Kind::weighted, 1}},
               .steps = 1};
  OnGpu gpu(c);
  gpu.run();
  const cuda::SparseLimits limits = gpu.update().limits();
  const auto read = [](const uint32_t* at, size_t n) {
    std::vector<uint32_t> out(n);
    MTRANK_CUDA(cudaMemcpy(out.data(), at, n * sizeof(uint32_t), cudaMemcpyDeviceToHost));
    return out;
  };
  EXPECT_EQ(limits.features, 4);
  EXPECT_EQ(read(limits.table_of, 4), (std::vector<uint32_t>{3, 0, 1, 2}));
  EXPECT_EQ(read(limits.largest, 4), (std::vector<uint32_t>(4, 0)));
  std::vector<uint32_t> lookups(4);
  float heaviest = 0;
  for (size_t f = 0; f < c.features.size(); ++f) {
    const Drawn d = c.draw(f, 1);
    for (size_t i = 0; i < d.ids.size(); ++i) {
      if (d.ids[i] < 0) continue;
      ++lookups[static_cast<size_t>(c.features[f].table)];
      if (f == 1) heaviest = std::max(heaviest, d.weights[i]);
    }
  }
  EXPECT_EQ(read(limits.lookups, 4), lookups);
  const uint32_t one = math::detail::bits(1.0f);
  EXPECT_EQ(read(limits.heaviest, 4), (std::vector<uint32_t>{math::detail::bits(heaviest), one, one, one}));
}

TEST_F(CudaSparseUpdate, RowsWithVeryManyLookups) {
  // Beyond, blocks of blocks: the CPU adds in another order.
  for (const int most : {40, 900})
    expect_as_cpu({.name = "lists of up to " + std::to_string(most),
                   .tables = {{40, 4}},
                   .features = {{0, Kind::list, most, 0.8}, {0, Kind::weighted, 5, 0.2}},
                   .batch = 700,
                   .room = 700,
                   .steps = 1,
                   .tolerance = 2e-5});
}

TEST_F(CudaSparseUpdate, MoreLookupsThanOneRoundOfTheScanTakes) {
  // 1,024 tiles of 2,048: about a row to a tile.
  expect_as_cpu({.name = "2.1 M lookups",
                 .tables = {{1060, 1}},
                 .features = {{0, Kind::list, 21100, 0, 0, 2000}},
                 .batch = 100,
                 .room = 100,
                 .steps = 1});
}

TEST_F(CudaSparseUpdate, MoreRowsWithoutLookupsThanGroupsOfLanes) {
  expect_as_cpu({.name = "17,000 rows",
                 .optimizer = "adam",
                 .parameters = {{"lazy", 0}, {"weight_decay", 0.01}},
                 .tables = {{17000, 128}},
                 .features = {{0, Kind::single}},
                 .batch = 20,
                 .room = 20,
                 .steps = 1});
}

TEST_F(CudaSparseUpdate, MoreFeaturesThanSharedMemoryHolds) {
  Case c{.name = "many", .tables = {}, .features = {}, .batch = 10, .room = 10};
  for (int f = 0; f < 140; ++f) {
    c.tables.push_back({5, 4});
    c.features.push_back({f, Kind::single});
  }
  expect_as_cpu(c);
}

TEST_F(CudaSparseUpdate, MoreRowsThanGroupsOfLanes) {
  // A group that had one of the last rows of the first table takes the first row of the second.
  expect_as_cpu({.name = "16,610 rows",
                 .tables = {{16500, 128}, {110, 128}},
                 .features = {{0, Kind::list, 150, 0, 0, 1}, {1, Kind::list, 1, 0, 0, 1}},
                 .batch = 110,
                 .room = 110,
                 .steps = 1});
}

TEST_F(CudaSparseUpdate, MoreSamplesOrRowsThanAGridHasThreads) {
  expect_as_cpu({.name = "140,000 samples",
                 .tables = {{60, 1}},
                 .features = {{0, Kind::single}},
                 .batch = 140'000,
                 .room = 140'000,
                 .steps = 1});
  expect_as_cpu({.name = "530,000 rows, all of them marked",
                 .optimizer = "adam",
                 .parameters = {{"lazy", 0}},
                 .tables = {{531'000, 1}},
                 .features = {{0, Kind::list, 5300, 0, 0, 1}},
                 .batch = 100,
                 .room = 100,
                 .steps = 2});
}

TEST_F(CudaSparseUpdate, MoreKindsOfTablesThanALaunchTakes) {
  Case c{.name = "70 widths", .tables = {}, .features = {}, .batch = 40, .room = 40};
  for (int f = 0; f < 70; ++f) {
    c.tables.push_back({20, f + 1});
    c.features.push_back({f, Kind::list, 8, 0.9});  // with rows that many look up
  }
  expect_as_cpu(c);
}

/// A job lays its memory out before its tables have theirs.
TEST_F(CudaSparseUpdate, AsksForTheSameMemoryBeforeItsTablesHaveAny) {
  const OptimizerSettings s("sgd", OptimizerUse::tables);
  std::vector<cuda::DeviceTable> tables;
  std::vector<cuda::DeviceFeature> features;
  for (int t = 0; t < 20; ++t) {
    tables.push_back({.rows = 50, .dim = 1 + t / 2, .optimizer = &s.info()});
    features.push_back({.table = t});
  }
  const size_t planned = cuda::SparseUpdate::bytes(tables, features, 8, 1);
  float momentum = 0;
  for (size_t t = 0; t < tables.size(); t += 2) tables[t].slots[0] = &momentum;
  EXPECT_EQ(cuda::SparseUpdate::bytes(tables, features, 8, 1), planned);
}

TEST_F(CudaSparseUpdate, SaysWhatItCannotHold) {
  const OptimizerSettings s("sgd", OptimizerUse::tables);
  const auto refusal = [](std::span<const cuda::DeviceTable> tables, std::span<const cuda::DeviceFeature> features,
                          int64_t batch, int shards = 1) -> std::string {
    try {
      cuda::SparseUpdate::bytes(tables, features, batch, shards);
    } catch (const ResourceError& e) {
      return e.what();
    }
    return "none";
  };
  std::vector<cuda::DeviceTable> tables(3, {.rows = 2'000'000'000, .dim = 1, .optimizer = &s.info()});
  std::vector<cuda::DeviceFeature> features = {{.table = 0}};
  EXPECT_EQ(refusal(tables, features, 8),
            "the tables have 6000000000 rows or more, a GPU takes fewer than 4294967295: use fewer rows, or device: "
            "cpu");
  tables.resize(1);
  EXPECT_EQ(refusal(tables, features, 8, 2), "none");
  EXPECT_EQ(refusal(tables, features, 8, 4),
            "the tables have 2000000000 rows or more, a GPU takes fewer than 1073741823 with 4 logical shards: use "
            "fewer rows, or device: cpu");
  features[0] = {.table = 0, .list = true, .capacity = 3'000'000'000};
  EXPECT_EQ(refusal(tables, features, 8),
            "a batch may hold 3000000000 ids or more, a GPU takes fewer than 2147483648: use a smaller "
            "train.batch_size");
  features.assign(300, {.table = 0, .list = true, .capacity = 1000});
  EXPECT_EQ(refusal(tables, features, 8'388'608),
            "a batch of 8388608 samples with 300 features that look up tables is more than a GPU numbers: "
            "train.batch_size may be 8388607 at most");
  EXPECT_EQ(refusal(tables, features, 8'388'607), "none");
}

}  // namespace
}  // namespace mtrank
