#include "tests/cuda/sparse_update_testing.h"

namespace mtrank {
namespace {

using namespace sparse_testing;

/// Row-wise optimisers sum squares in another order than the CPU.
double tolerance_of(const OptimizerInfo& info) { return info.update_flat ? 0 : 1e-6; }

TEST_F(CudaSparseUpdate, EveryOptimizerHasTheBitsOfTheCpu) {
  for (const OptimizerInfo& info : optimizer_registry()) {
    if (!serves(info.use, OptimizerUse::tables)) continue;
    for (const bool low : {false, true})
      expect_as_cpu({.name = std::string(info.name) + (low ? " bf16" : " f32"),
                     .optimizer = std::string(info.name),
                     .parameters = {{"weight_decay", 0.01}},
                     .steps = 3,
                     .l2 = 0.02,
                     .low = low,
                     .tolerance = tolerance_of(info)});
  }
  expect_as_cpu({.name = "momentum", .optimizer = "sgd", .parameters = {{"momentum", 0.9}}, .steps = 3});
}

TEST_F(CudaSparseUpdate, EveryWidth) {
  for (const int64_t dim : {1, 3, 4, 10, 16, 20, 64, 100, 128, 130, 200, 516, 640}) {
    for (const bool low : {false, true}) {
      const std::string name = "dim " + std::to_string(dim) + (low ? " bf16" : " f32");
      Case c{.name = name, .tables = {{.dim = dim}}, .batch = 60, .room = 60, .low = low};
      expect_as_cpu(c);
      c.optimizer = "rowwise_adagrad";
      c.tolerance = 1e-6;
      expect_as_cpu(c);
    }
  }
}

TEST_F(CudaSparseUpdate, TablesOfSeveralWidthsAndOptimizersSharedByFeatures) {
  expect_as_cpu({.name = "shared",
                 .tables = {{20, 16}, {70, 4}, {1, 16}, {33, 16}, {9, 7}},
                 .features = {{3, Kind::list},
                              {0, Kind::single},
                              {1, Kind::single},
                              {0, Kind::list, 9},
                              {4, Kind::list},
                              {0, Kind::list},
                              {3, Kind::single},
                              {2, Kind::single}},
                 .optimizers = {"sgd", "ftrl", "adam", "sgd", "adagrad"}});
}

TEST_F(CudaSparseUpdate, MomentumOfSomeTables) {
  expect_as_cpu({.name = "momentum of some",
                 .optimizer = "sgd",
                 .tables = {{20, 16}, {70, 16}, {33, 16}},
                 .features = {{0, Kind::list, 20, 0.5}, {1, Kind::list}, {2, Kind::single}},
                 .steps = 3,
                 .momentum = {0, 0.9, 0}});
}

TEST_F(CudaSparseUpdate, SingleColumnsAreF32BesideBf16) {
  expect_as_cpu({.name = "mixed",
                 .tables = {{20, 1}, {70, 4}, {40, 1}, {50, 16}},
                 .features = {{0, Kind::list}, {1, Kind::single}, {2, Kind::list, 20, 0.5}, {3, Kind::list, 6, 0.5}},
                 .low = true});
}

TEST_F(CudaSparseUpdate, Weights) {
  expect_as_cpu({.name = "weights",
                 .tables = {{30, 16}, {30, 3}},
                 .features = {{0, Kind::single}, {0, Kind::weighted}, {1, Kind::weighted, 40}, {0, Kind::list}}});
}

TEST_F(CudaSparseUpdate, PaddingAndRoomThatIsNotUsedChangeNothing) {
  for (const int64_t batch : {1, 7, 149})
    expect_as_cpu({.name = "padding " + std::to_string(batch),
                   .tables = {{50, 16}, {50, 16}},
                   .features = {{0, Kind::single}, {0, Kind::list, 6, 0, 9000}, {1, Kind::list, 3, 0, 2000}},
                   .batch = batch,
                   .room = 150});
}

TEST_F(CudaSparseUpdate, ATableNoFeatureOfTheBatchNames) {
  expect_as_cpu({.name = "unused",
                 .tables = {{50, 16}, {50, 16}, {50, 8}},
                 .features = {{2, Kind::list, 1, 0, 10}, {0, Kind::single}}});  // lists of 0 ids
}

TEST_F(CudaSparseUpdate, GradientsInColumnsOfAWiderValue) {
  for (const int64_t shift : {1, 4}) {
    for (const bool low : {false, true})
      expect_as_cpu({.name = "shift " + std::to_string(shift),
                     .tables = {{50, 16}, {50, 16}, {50, 3}},
                     .features = {{0, Kind::list, 20, 0.5}, {1, Kind::single}, {2, Kind::single}},
                     .low = low,
                     .shift = shift});
  }
}

TEST_F(CudaSparseUpdate, AdamThatIsNotLazyMovesEveryRow) {
  expect_as_cpu({.name = "adam",
                 .optimizer = "adam",
                 .parameters = {{"lazy", 0}, {"weight_decay", 0.01}},
                 .tables = {{400, 16}, {7, 3}, {100, 16}},
                 .features = {{0, Kind::single}, {2, Kind::list, 4}, {1, Kind::single}},
                 .batch = 20,
                 .room = 30,
                 .steps = 3,
                 .l2 = 0.1});
}

TEST_F(CudaSparseUpdate, ChangesNothingWhereAStepMustNotProceed) {
  for (const char* optimizer : {"adam", "rowwise_adagrad"}) {
    Case c{.name = optimizer,
           .optimizer = optimizer,
           .parameters = {{"weight_decay", 0.01}},  // would move rows without a gradient
           .tables = {{2000, 16}},
           .features = {{0, Kind::list, 40, 0.9}}};
    if (c.optimizer == "adam") c.parameters.push_back({"lazy", 0});
    EXPECT_EQ(on_gpu(c, 0), OnCpu(c).values());
  }
}

TEST_F(CudaSparseUpdate, TheSameBitsInAnyOrderOfThreads) {
  for (const int shards : {1, 4}) {
    const Case c{.name = "orders",
                 .optimizer = "rowwise_adagrad",
                 .tables = {{40, 16}, {300, 16}, {40, 3}},
                 .features = {{0, Kind::weighted, 30, 0.8}, {1, Kind::list, 3}, {2, Kind::single}},
                 .batch = 400,
                 .room = 400,
                 .shards = shards};
    std::vector<std::vector<float>> first;
    testing::in_several_orders([&] {
      const auto got = on_gpu(c);
      if (first.empty()) first = got;
      EXPECT_EQ(got, first);
    });
  }
}

}  // namespace
}  // namespace mtrank
