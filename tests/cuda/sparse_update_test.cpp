#include "cuda/embedding/sparse_update.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "cuda/updates.h"
#include "framework/core/bf16.h"
#include "framework/core/philox.h"
#include "framework/embedding/init.h"
#include "framework/embedding/sparse_update.h"
#include "tests/cuda/device_array.h"

/// The tables' update on the GPU against the CPU's with one logical shard.
namespace mtrank {
namespace {

using testing::DeviceArray;

enum class Kind { single, list, weighted };

/// A feature's ids and gradients of a batch, drawn at random. Its rows from `rows` to `room` are padding.
struct Drawn {
  std::vector<int32_t> ids, offsets;
  std::vector<float> weights, gradient;
};

struct FeatureCase {
  int table = 0;
  Kind kind = Kind::single;
  int most = 6;          ///< ids of a list
  double hot = 0;        ///< share of ids that are row 3
  int64_t capacity = 0;  ///< of a list; 0: exactly what the batch has
  int64_t each = 0;      ///< not 0: the first so many ids are row 0, the next row 1, …
};

struct TableCase {
  int64_t rows = 50, dim = 16;
};

struct Case {
  std::string name;
  std::string optimizer = "adagrad";
  std::vector<std::pair<std::string, double>> parameters = {};
  std::vector<TableCase> tables = {{}};
  std::vector<FeatureCase> features = {{0, Kind::single}, {0, Kind::list}};
  int64_t batch = 150, room = 150;
  int steps = 2;
  double l2 = 0;
  bool low = false;                          ///< gradients in bf16
  int64_t shift = 0;                         ///< columns before the first of a gradient in its memory
  std::vector<std::string> optimizers = {};  ///< by table, instead of one for all
  double tolerance = 0;

  OptimizerSettings settings(size_t table) const {
    OptimizerSettings s(optimizers.empty() ? optimizer : optimizers[table], OptimizerUse::tables);
    s.lr = 0.1;
    for (const auto& [name, value] : parameters) s.set(name, value);
    return s;
  }

  Drawn draw(size_t feature, int step) const {
    const FeatureCase& f = features[feature];
    const TableCase& table = tables[static_cast<size_t>(f.table)];
    const Philox random(static_cast<uint64_t>(step) * 100 + feature, "test", "feature");
    const auto below = [&](uint64_t stream, int64_t i, int64_t n) {
      return static_cast<int32_t>(
          uniform_below(static_cast<uint32_t>(n), random(stream, static_cast<uint64_t>(i))[0], 0));
    };
    Drawn out;
    const bool list = f.kind != Kind::single;
    if (list) out.offsets.push_back(0);
    for (int64_t b = 0; b < room; ++b) {
      const int count = b >= batch ? 0 : !list ? 1 : f.each ? f.most : below(0, b, f.most);
      for (int k = 0; k < count; ++k) {
        const auto i = static_cast<int64_t>(out.ids.size());
        const bool hot = uniform01(random(1, static_cast<uint64_t>(i))[0]) < static_cast<float>(f.hot);
        out.ids.push_back(f.each ? static_cast<int32_t>(i / f.each) : hot ? 3 : below(2, i, table.rows + 1) - 1);
        const float weight = 0.5f + uniform01(random(3, static_cast<uint64_t>(i))[0]);
        if (f.kind == Kind::weighted) out.weights.push_back(out.ids.back() < 0 ? 1e6f : weight);  // of no row
      }
      if (list)
        out.offsets.push_back(static_cast<int32_t>(out.ids.size()));
      else if (b >= batch)
        out.ids.push_back(-1);
    }
    out.gradient.resize(static_cast<size_t>(room * table.dim));
    fill_weights({WeightInit::Kind::normal, 0.1, 0}, Philox(random.key0, "test", "gradient"), 0, room * table.dim,
                 out.gradient.data());
    if (low && table.dim > 1)
      for (float& g : out.gradient) g = to_float(to_bf16(g));
    return out;
  }
};

/// Tables on the host, and an update on the CPU.
struct OnCpu {
  explicit OnCpu(const Case& c) : c_(c) {
    for (size_t t = 0; t < c.tables.size(); ++t) {
      tables.push_back(std::make_unique<EmbeddingTable>("t" + std::to_string(t), c.tables[t].rows, c.tables[t].dim,
                                                        c.settings(t), c.l2));
      tables.back()->initialize(pool_, {WeightInit::Kind::normal, 0.1, 0}, 7);
    }
  }

  void run() {
    std::vector<EmbeddingTable*> pointers;
    for (const auto& t : tables) pointers.push_back(t.get());
    std::vector<int> table_of;
    for (const FeatureCase& f : c_.features) table_of.push_back(f.table);
    SparseUpdate update(pointers, table_of, 1);
    for (int step = 1; step <= c_.steps; ++step) {
      std::vector<Drawn> drawn;
      for (size_t f = 0; f < c_.features.size(); ++f) drawn.push_back(c_.draw(f, step));
      std::vector<IdsView> ids;
      std::vector<View> gradients;
      for (size_t f = 0; f < drawn.size(); ++f) {
        Drawn& d = drawn[f];
        const int64_t dim = c_.tables[static_cast<size_t>(c_.features[f].table)].dim;
        ids.push_back({d.ids.data(), d.offsets.empty() ? nullptr : d.offsets.data(),
                       d.weights.empty() ? nullptr : d.weights.data()});
        gradients.push_back({d.gradient.data(), c_.room, dim, dim});
      }
      update.prepare(pool_, c_.batch, ids);
      EXPECT_TRUE(update.check(pool_, gradients).ok());
      update.apply(pool_, gradients, 1, step);
    }
  }

  /// Weights and state of every table, one after the other.
  std::vector<std::vector<float>> values() const {
    std::vector<std::vector<float>> out;
    for (const auto& t : tables) {
      out.emplace_back(t->weights(), t->weights() + t->size());
      for (const TableState& s : t->state()) out.emplace_back(s.values.data(), s.values.data() + s.values.size());
    }
    return out;
  }

  std::vector<std::unique_ptr<EmbeddingTable>> tables;

 private:
  const Case& c_;
  ThreadPool pool_{1};
};

/// The same on the device, begun from the same weights.
struct OnGpu {
  explicit OnGpu(const Case& c) : c_(c), host_(c) {
    std::vector<cuda::DeviceTable> tables;
    for (const auto& t : host_.tables) {
      cuda::DeviceTable to{.rows = t->rows(),
                           .dim = t->dim(),
                           .optimizer = &t->optimizer().info(),
                           .moves_every_row = t->moves_every_row()};
      arrays_.emplace_back(std::span<const float>(t->weights(), static_cast<size_t>(t->size())));
      to.weights = arrays_.back().get();
      const SlotPointers slots = t->slots();
      size_t state = 0;
      for (size_t s = 0; s < slots.size(); ++s) {
        if (!slots[s]) continue;
        const FloatBuffer& from = t->state()[state++].values;
        arrays_.emplace_back(std::span<const float>(from.data(), static_cast<size_t>(from.size())));
        to.slots[s] = arrays_.back().get();
      }
      tables.push_back(to);
    }
    std::vector<cuda::DeviceFeature> features;
    for (size_t f = 0; f < c.features.size(); ++f) {
      const FeatureCase& from = c.features[f];
      int64_t most = from.capacity;
      for (int step = 1; step <= c.steps; ++step)
        most = std::max(most, static_cast<int64_t>(c.draw(f, step).ids.size()));
      features.push_back({from.table, from.kind != Kind::single, from.kind == Kind::weighted, most});
    }
    bytes_ = cuda::SparseUpdate::bytes(tables, features, c.room);
    memory_ = std::make_unique<DeviceArray<std::byte>>(bytes_ + kBeyond);
    update_ = std::make_unique<cuda::SparseUpdate>(tables, features, c.room, memory_->get(), nullptr);
  }

  void run(uint32_t proceed = 1) {
    for (int step = 1; step <= c_.steps; ++step) run_step(step, proceed);
  }

  void run_step(int step, uint32_t proceed) {
    std::vector<DeviceArray<int32_t>> numbers;
    std::vector<DeviceArray<float>> floats;
    std::vector<DeviceArray<bf16>> lows;
    std::vector<cuda::DeviceIds> ids;
    std::vector<cuda::DeviceView> gradients;
    for (size_t f = 0; f < c_.features.size(); ++f) {
      const Drawn d = c_.draw(f, step);
      cuda::DeviceIds to;
      to.ids = numbers.emplace_back(d.ids).get();
      if (!d.offsets.empty()) to.offsets = numbers.emplace_back(d.offsets).get();
      if (!d.weights.empty()) to.weights = floats.emplace_back(d.weights).get();
      ids.push_back(to);
      const int64_t dim = c_.tables[static_cast<size_t>(c_.features[f].table)].dim;
      const int64_t ld = c_.shift + (dim + 7) / 8 * 8;
      std::vector<float> padded(static_cast<size_t>(c_.room * ld), -1e30f);
      for (int64_t r = 0; r < c_.room; ++r)
        std::copy_n(d.gradient.begin() + r * dim, dim, padded.begin() + r * ld + c_.shift);
      cuda::DeviceView g{.rows = c_.room, .cols = dim, .ld = ld};
      if (c_.low && dim > 1) {  // single columns are f32 in a bf16 plan
        std::vector<bf16> low;
        for (const float x : padded) low.push_back(to_bf16(x));
        g.data = lows.emplace_back(low).get() + c_.shift;
        g.dtype = DType::bf16;
      } else {
        g.data = floats.emplace_back(padded).get() + c_.shift;
      }
      gradients.push_back(g);
    }
    const DeviceArray<cuda::DeviceStep> info(
        std::vector<cuda::DeviceStep>{{0, static_cast<uint64_t>(step), 0, c_.batch}});
    std::vector<OptimizerStep> steps;
    for (size_t t = 0; t < c_.tables.size(); ++t) {
      const OptimizerSettings s = c_.settings(t);
      steps.push_back(s.info().step(s, s.lr, step, c_.l2));
      steps.push_back(s.info().step(s, s.lr, step, 0));
    }
    const DeviceArray<OptimizerStep> device_steps(steps);
    const DeviceArray<uint32_t> flag(std::vector<uint32_t>{proceed});
    update_->begin(nullptr);
    update_->prepare(nullptr, ids, info.get());
    update_->update(nullptr, gradients, device_steps.get(), flag.get());
    MTRANK_CUDA(cudaDeviceSynchronize());
  }

  std::vector<std::vector<float>> values() const {
    std::vector<std::vector<float>> out;
    for (const auto& a : arrays_) out.push_back(a.values());
    return out;
  }
  const cuda::SparseUpdate& update() const { return *update_; }
  /// Whether nothing was written past the memory that the update asked for.
  bool kept_to_its_memory() const {
    const std::vector<std::byte> all = memory_->values();
    return std::all_of(all.begin() + static_cast<int64_t>(bytes_), all.end(),
                       [](std::byte b) { return b == std::byte{0xEE}; });
  }

 private:
  const Case& c_;
  OnCpu host_;
  std::vector<DeviceArray<float>> arrays_;
  static constexpr size_t kBeyond = 1 << 16;
  size_t bytes_ = 0;
  std::unique_ptr<DeviceArray<std::byte>> memory_;
  std::unique_ptr<cuda::SparseUpdate> update_;
};

std::vector<std::vector<float>> on_gpu(const Case& c, uint32_t proceed = 1) {
  OnGpu gpu(c);
  gpu.run(proceed);
  EXPECT_TRUE(gpu.kept_to_its_memory());
  return gpu.values();
}

void expect_as_cpu(const Case& c) {
  SCOPED_TRACE(c.name);
  OnCpu cpu(c);
  cpu.run();
  const auto want = cpu.values(), got = on_gpu(c);
  ASSERT_EQ(got.size(), want.size());
  for (size_t a = 0; a < want.size(); ++a) {
    ASSERT_EQ(got[a].size(), want[a].size());
    for (size_t i = 0; i < want[a].size(); ++i) {
      if (c.tolerance == 0)
        ASSERT_EQ(got[a][i], want[a][i]) << "array " << a << ", element " << i;
      else
        ASSERT_NEAR(got[a][i], want[a][i], c.tolerance * (1 + std::abs(want[a][i])))
            << "array " << a << ", element " << i;
    }
  }
}

class CudaSparseUpdate : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::has_device()) GTEST_SKIP() << "no CUDA device";
  }
};

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
  const Case c{.name = "orders",
               .optimizer = "rowwise_adagrad",
               .tables = {{40, 16}, {300, 16}, {40, 3}},
               .features = {{0, Kind::weighted, 30, 0.8}, {1, Kind::list, 3}, {2, Kind::single}},
               .batch = 400,
               .room = 400};
  std::vector<std::vector<float>> first;
  testing::in_several_orders([&] {
    const auto got = on_gpu(c);
    if (first.empty()) first = got;
    EXPECT_EQ(got, first);
  });
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

TEST_F(CudaSparseUpdate, SaysWhatItCannotHold) {
  const OptimizerSettings s("sgd", OptimizerUse::tables);
  std::vector<cuda::DeviceTable> tables(3, {.rows = 2'000'000'000, .dim = 1, .optimizer = &s.info()});
  std::vector<cuda::DeviceFeature> features = {{.table = 0}};
  try {
    cuda::SparseUpdate::bytes(tables, features, 8);
    FAIL();
  } catch (const ResourceError& e) {
    EXPECT_STREQ(e.what(),
                 "the tables have 6000000000 rows or more, a GPU takes fewer than 4294967295: use fewer rows, or "
                 "device: cpu");
  }
  tables.resize(1);
  features[0] = {.table = 0, .list = true, .capacity = 3'000'000'000};
  EXPECT_THROW(cuda::SparseUpdate::bytes(tables, features, 8), ResourceError);
}

}  // namespace
}  // namespace mtrank
