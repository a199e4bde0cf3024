#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "cuda/embedding/sparse_update.h"
#include "cuda/updates.h"
#include "framework/core/bf16.h"
#include "framework/core/philox.h"
#include "framework/embedding/init.h"
#include "framework/embedding/sparse_update.h"
#include "tests/cuda/device_array.h"

/// The tables' update on the GPU against the CPU's.
namespace mtrank::sparse_testing {

using mtrank::testing::DeviceArray;

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
  int64_t batch = 150, room = 150;  ///< room: a multiple of the shards
  int shards = 1;
  int steps = 2;
  double l2 = 0;
  bool low = false;                          ///< gradients in bf16
  int64_t shift = 0;                         ///< columns before the first of a gradient in its memory
  std::vector<std::string> optimizers = {};  ///< by table, instead of one for all
  std::vector<double> momentum = {};         ///< by table, or none
  double tolerance = 0;

  OptimizerSettings settings(size_t table) const {
    OptimizerSettings s(optimizers.empty() ? optimizer : optimizers[table], OptimizerUse::tables);
    s.lr = 0.1;
    for (const auto& [name, value] : parameters) s.set(name, value);
    if (!momentum.empty()) s.set("momentum", momentum[table]);
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

  int64_t first_sample(int64_t shard) const { return batch * shard / shards; }
  /// Past the last sample of the last shard, as the device counts.
  int64_t end_of_batch() const { return room - room / shards + batch - first_sample(shards - 1); }

  /// As the device has it: every shard's samples begin where as many have gone before each, and padding follows them.
  Drawn in_shards(const Drawn& from, int64_t dim) const {
    if (shards == 1) return from;
    Drawn out;
    for (int64_t r = 0; r < room; ++r) {
      const int64_t shard = r / (room / shards), sample = first_sample(shard) + r % (room / shards);
      const bool padding = sample >= first_sample(shard + 1);
      if (from.offsets.empty()) {
        out.ids.push_back(padding ? -1 : from.ids[static_cast<size_t>(sample)]);
      } else {
        out.offsets.push_back(static_cast<int32_t>(out.ids.size()));
        for (int32_t i = from.offsets[static_cast<size_t>(sample)];
             !padding && i < from.offsets[static_cast<size_t>(sample) + 1]; ++i) {
          out.ids.push_back(from.ids[static_cast<size_t>(i)]);
          if (!from.weights.empty()) out.weights.push_back(from.weights[static_cast<size_t>(i)]);
        }
      }
      for (int64_t d = 0; d < dim; ++d)
        out.gradient.push_back(padding ? -1e30f : from.gradient[static_cast<size_t>(sample * dim + d)]);
    }
    if (!from.offsets.empty()) out.offsets.push_back(static_cast<int32_t>(out.ids.size()));
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
    SparseUpdate update(pointers, table_of, c_.shards);
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
    bytes_ = cuda::SparseUpdate::bytes(tables, features, c.room, c.shards);
    memory_ = std::make_unique<DeviceArray<std::byte>>(bytes_ + kBeyond);
    update_ = std::make_unique<cuda::SparseUpdate>(tables, features, c.room, c.shards, memory_->get(), nullptr);
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
      const int64_t dim = c_.tables[static_cast<size_t>(c_.features[f].table)].dim;
      const Drawn d = c_.in_shards(c_.draw(f, step), dim);
      cuda::DeviceIds to;
      to.ids = numbers.emplace_back(d.ids).get();
      if (!d.offsets.empty()) to.offsets = numbers.emplace_back(d.offsets).get();
      if (!d.weights.empty()) to.weights = floats.emplace_back(d.weights).get();
      ids.push_back(to);
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
        std::vector<cuda::DeviceStep>{{0, static_cast<uint64_t>(step), 0, c_.end_of_batch()}});
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

inline std::vector<std::vector<float>> on_gpu(const Case& c, uint32_t proceed = 1) {
  OnGpu gpu(c);
  gpu.run(proceed);
  EXPECT_TRUE(gpu.kept_to_its_memory());
  return gpu.values();
}

inline void expect_as_cpu(const Case& c) {
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

}  // namespace mtrank::sparse_testing
