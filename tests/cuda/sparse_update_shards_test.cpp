#include "tests/cuda/sparse_update_testing.h"

namespace mtrank {
namespace {

using namespace sparse_testing;

class CudaSparseUpdateShards : public CudaSparseUpdate {};

TEST_F(CudaSparseUpdateShards, EveryOptimizerHasTheBitsOfTheCpu) {
  for (const OptimizerInfo& info : optimizer_registry()) {
    if (!serves(info.use, OptimizerUse::tables)) continue;
    for (const bool low : {false, true})
      expect_as_cpu({.name = std::string(info.name) + (low ? " bf16" : " f32"),
                     .optimizer = std::string(info.name),
                     .parameters = {{"weight_decay", 0.01}},
                     .tables = {{12, 16}, {50, 3}},
                     .features = {{0, Kind::single}, {0, Kind::list}, {1, Kind::weighted}},
                     .batch = 152,
                     .room = 152,
                     .shards = 8,
                     .steps = 3,
                     .l2 = 0.02,
                     .low = low,
                     .tolerance = info.update_flat ? 0 : 1e-6});
  }
}

TEST_F(CudaSparseUpdateShards, AnyNumberOfThemAndShardsWithoutRows) {
  for (const int shards : {2, 4, 16, 64, 1024})
    for (const int64_t batch : {1, 2, 7, 63, 64, 1023, 1024})
      expect_as_cpu({.name = std::to_string(batch) + " samples in " + std::to_string(shards) + " shards",
                     .tables = {{9, 4}, {200, 16}},
                     .features = {{0, Kind::single}, {0, Kind::list, 4, 0.5}, {1, Kind::list, 4}},
                     .batch = batch,
                     .room = 1024,
                     .shards = shards,
                     .steps = 1});
}

TEST_F(CudaSparseUpdateShards, RowsWithManyLookupsInSomeShards) {
  for (const double hot : {0.1, 0.5, 1.0})
    for (const int64_t dim : {3, 16, 132})
      expect_as_cpu({.name = "hot " + std::to_string(hot) + " dim " + std::to_string(dim),
                     .tables = {{40, dim}, {3000, dim}},
                     .features = {{0, Kind::single, 1, hot}, {0, Kind::list, 9, hot}, {1, Kind::weighted, 9, hot}},
                     .batch = 799,
                     .room = 800,
                     .shards = 4});
  for (const int64_t each : {63, 64, 65, 66, 128, 129, 4096, 4097})  // a row's lookups lie in neighbouring shards
    expect_as_cpu({.name = std::to_string(each) + " lookups a row",
                   .tables = {{5000, 4}},
                   .features = {{0, Kind::list, 20, 0, 0, each}},
                   .batch = 512,
                   .room = 512,
                   .shards = 4,
                   .steps = 1});
}

TEST_F(CudaSparseUpdateShards, RowWiseOptimizersOfEveryWidth) {
  for (const int64_t dim : {1, 4, 130, 516, 640})
    for (const bool low : {false, true})
      expect_as_cpu({.name = "dim " + std::to_string(dim) + (low ? " bf16" : " f32"),
                     .optimizer = "rowwise_adagrad",
                     .tables = {{.dim = dim}},
                     .batch = 60,
                     .room = 60,
                     .shards = 4,
                     .low = low,
                     .tolerance = 1e-6});
}

TEST_F(CudaSparseUpdateShards, RowsThatNobodyLooksUpMoveOnce) {
  expect_as_cpu({.name = "adam",
                 .optimizer = "adam",
                 .parameters = {{"lazy", 0}, {"weight_decay", 0.01}},
                 .tables = {{400, 16}, {7, 3}, {100, 16}},
                 .features = {{0, Kind::list}, {2, Kind::list, 4}, {1, Kind::single}},
                 .batch = 30,
                 .room = 32,
                 .shards = 8,
                 .steps = 3,
                 .l2 = 0.1});
}

}  // namespace
}  // namespace mtrank
