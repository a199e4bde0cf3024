#include "framework/embedding/sparse_update.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>

#include "framework/core/isa.h"
#include "framework/core/philox.h"
#include "framework/embedding/init.h"

namespace mtrank {
namespace {

/// A feature's ids and gradients for a batch, drawn at random.
struct Feature {
  int table = 0;
  std::vector<int32_t> ids, offsets;
  std::vector<float> weights, gradient;

  IdsView ids_view() const {
    return {ids.data(), offsets.empty() ? nullptr : offsets.data(), weights.empty() ? nullptr : weights.data()};
  }
};
enum class Kind { single, bag, weighted };

Feature make_feature(int table, Kind kind, int64_t batch, int64_t rows, int64_t dim, uint64_t seed, double hot = 0) {
  Feature f{.table = table, .ids = {}, .offsets = {}, .weights = {}, .gradient = {}};
  const Philox random(seed, "test", "feature");
  const auto draw = [&](uint64_t stream, int64_t i, uint32_t n) {
    return static_cast<int32_t>(uniform_below(n, random(stream, static_cast<uint64_t>(i))[0], 0));
  };
  if (kind != Kind::single) f.offsets.push_back(0);
  for (int64_t b = 0; b < batch; ++b) {
    const int count = kind == Kind::single ? 1 : draw(0, b, 6);
    for (int k = 0; k < count; ++k) {
      const auto i = static_cast<int64_t>(f.ids.size());
      const bool is_hot = uniform01(random(1, static_cast<uint64_t>(i))[0]) < hot;
      f.ids.push_back(is_hot ? 3 : draw(2, i, static_cast<uint32_t>(rows) + 1) - 1);  // -1 now and then
      if (kind == Kind::weighted) f.weights.push_back(0.5f + uniform01(random(3, static_cast<uint64_t>(i))[0]));
    }
    if (kind != Kind::single) f.offsets.push_back(static_cast<int32_t>(f.ids.size()));
  }
  f.gradient.resize(static_cast<size_t>(batch * dim));
  fill_weights({WeightInit::Kind::normal, 0.1, 0}, Philox(seed, "test", "gradient"), 0, batch * dim, f.gradient.data());
  return f;
}

/// One table or more, and what they held after some steps.
struct Job {
  std::string optimizer = "sgd";
  std::vector<int64_t> dims = {16};
  int64_t rows = 50, batch = 300;
  int shards = 8, threads = 1, steps = 2;
  double lazy = 1, l2 = 0, hot = 0, weight_decay = 0;
  std::vector<std::pair<int, Kind>> features = {{0, Kind::single}, {0, Kind::bag}, {0, Kind::weighted}};

  std::vector<Feature> make(int step) const {
    std::vector<Feature> out;
    for (const auto& [table, kind] : features)
      out.push_back(make_feature(table, kind, batch, rows, dims[static_cast<size_t>(table)],
                                 static_cast<uint64_t>(step) * 100 + out.size(), hot));
    return out;
  }

  std::vector<std::unique_ptr<EmbeddingTable>> tables(ThreadPool& pool) const {
    std::vector<std::unique_ptr<EmbeddingTable>> out;
    for (const int64_t dim : dims) {
      OptimizerSettings s(optimizer, OptimizerUse::tables, {{"lr", 0.1}, {"weight_decay", weight_decay}});
      if (optimizer == "adam") s.set("lazy", lazy);
      out.push_back(std::make_unique<EmbeddingTable>("t" + std::to_string(out.size()), rows, dim, s, l2));
      out.back()->initialize(pool, {WeightInit::Kind::normal, 0.1, 0}, 7);
    }
    return out;
  }

  /// Weights and state of every table, one after the other.
  std::vector<float> run() const {
    ThreadPool pool(threads);
    const auto owned = tables(pool);
    std::vector<EmbeddingTable*> pointers;
    for (const auto& t : owned) pointers.push_back(t.get());
    std::vector<int> table_of;
    for (const auto& [table, kind] : features) table_of.push_back(table);
    SparseUpdate update(pointers, table_of, shards);
    for (int step = 1; step <= steps; ++step) {
      std::vector<Feature> made = make(step);
      std::vector<IdsView> ids;
      std::vector<View> gradients;
      for (Feature& f : made) {
        const int64_t dim = dims[static_cast<size_t>(f.table)];
        ids.push_back(f.ids_view());
        gradients.push_back({f.gradient.data(), batch, dim, dim});
      }
      update.prepare(pool, batch, ids);
      EXPECT_TRUE(update.check(pool, gradients).ok());
      update.apply(pool, gradients, 1, step);
    }
    std::vector<float> out;
    for (const auto& t : owned) {
      out.insert(out.end(), t->weights(), t->weights() + t->size());
      for (const TableState& s : t->state()) out.insert(out.end(), s.values.data(), s.values.data() + s.values.size());
    }
    return out;
  }
};

/// An epoch's last batch is smaller than those before: its shards are its own.
TEST(SparseUpdate, ABatchHasTheSameBitsBehindALargerOne) {
  const Job large{.rows = 5, .batch = 300, .steps = 1}, small{.rows = 5, .batch = 41, .steps = 1};
  ThreadPool pool(1);
  const auto tables = large.tables(pool);
  SparseUpdate update({tables[0].get()}, {0, 0, 0}, large.shards);
  for (const Job* job : {&large, &small}) {
    tables[0]->initialize(pool, {WeightInit::Kind::normal, 0.1, 0}, 7);
    std::vector<Feature> made = job->make(1);
    std::vector<IdsView> ids;
    std::vector<View> gradients;
    for (Feature& f : made) ids.push_back(f.ids_view()), gradients.push_back({f.gradient.data(), job->batch, 16, 16});
    update.prepare(pool, job->batch, ids);
    update.apply(pool, gradients, 1, 1);
    EXPECT_EQ(std::vector<float>(tables[0]->weights(), tables[0]->weights() + tables[0]->size()), job->run());
  }
}

TEST(SparseUpdate, SumsAreThoseOfANaiveLoopInDouble) {
  for (const int64_t dim : {1, 3, 4, 8, 16, 20, 64, 100, 128, 256}) {
    Job job{.dims = {dim}, .steps = 1};
    ThreadPool pool(1);
    const auto tables = job.tables(pool);
    std::vector<double> want(tables[0]->weights(), tables[0]->weights() + tables[0]->size());
    for (const Feature& f : job.make(1)) {
      for (int64_t b = 0; b < job.batch; ++b) {
        const int64_t begin = f.offsets.empty() ? b : f.offsets[static_cast<size_t>(b)];
        const int64_t end = f.offsets.empty() ? b + 1 : f.offsets[static_cast<size_t>(b) + 1];
        for (int64_t i = begin; i < end; ++i) {
          const auto at = static_cast<size_t>(i);
          for (int64_t d = 0; d < dim && f.ids[at] >= 0; ++d)
            want[static_cast<size_t>(f.ids[at] * dim + d)] -=
                0.1 * (f.weights.empty() ? 1.0 : static_cast<double>(f.weights[at])) *
                static_cast<double>(f.gradient[static_cast<size_t>(b * dim + d)]);
        }
      }
    }
    const std::vector<float> got = job.run();
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-6) << "dim " << dim << " at " << i;
  }
}

/// The order of sums, spelled out: blocks of 64 within a shard, then the tree over shards with absent ones left out.
float sum_by_the_rule(const std::vector<float>& g, const std::vector<int>& sample, int lo, int hi, int64_t batch, int V,
                      bool& present) {
  present = false;
  if (hi - lo > 1) {
    bool left_present, right_present;
    const int mid = (lo + hi) / 2;
    const float left = sum_by_the_rule(g, sample, lo, mid, batch, V, left_present);
    const float right = sum_by_the_rule(g, sample, mid, hi, batch, V, right_present);
    present = left_present || right_present;
    return left_present && right_present ? left + right : left_present ? left : right;
  }
  std::vector<float> mine;
  for (size_t i = 0; i < g.size(); ++i)
    if (sample[i] >= batch * lo / V && sample[i] < batch * hi / V) mine.push_back(g[i]);
  if (mine.empty()) return 0;
  present = true;
  float total = 0;
  for (size_t at = 0; at < mine.size(); at += 64) {
    float block = mine[at];
    for (size_t i = at + 1; i < std::min(mine.size(), at + 64); ++i) block += mine[i];
    total = at ? total + block : block;
  }
  return total;
}

class SparseOrder : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Batches, SparseOrder, ::testing::Values(1, 5, 300, 20000));

TEST_P(SparseOrder, OfSumsIsTheOneThatIsPromised) {
  for (const int shards : {1, 2, 8, 64}) {
    Job job{.dims = {16}, .rows = 20, .batch = GetParam(), .shards = shards, .steps = 1, .hot = 0.4};
    job.features = {{0, Kind::single}};
    ThreadPool pool(1);
    const auto tables = job.tables(pool);
    const Feature f = job.make(1)[0];
    const std::vector<float> got = job.run();
    for (int32_t row = 0; row < job.rows; ++row) {
      std::vector<int> samples;
      for (int b = 0; b < job.batch; ++b)
        if (f.ids[static_cast<size_t>(b)] == row) samples.push_back(b);
      for (int d = 0; d < 16; ++d) {
        std::vector<float> g;
        for (const int b : samples) g.push_back(f.gradient[static_cast<size_t>(b * 16 + d)]);
        bool present;
        const float sum = sum_by_the_rule(g, samples, 0, shards, job.batch, shards, present);
        const float start = tables[0]->weights()[row * 16 + d];
        ASSERT_EQ(got[static_cast<size_t>(row * 16 + d)], present ? start - 0.1f * sum : start) << "row " << row;
      }
    }
  }
}

TEST(SparseUpdate, BitsDoNotDependOnThreadsOrInstructionSet) {
  const Isa best = isa();
  for (const OptimizerInfo& info : optimizer_registry()) {
    if (!serves(info.use, OptimizerUse::tables)) continue;
    for (const double lazy : {0.0, 1.0}) {
      Job job{.optimizer = std::string(info.name), .dims = {16, 20, 128}, .rows = 3000, .batch = 6000, .lazy = lazy};
      job.l2 = 0.01, job.hot = 0.5, job.weight_decay = 0.001;
      job.features = {{0, Kind::single}, {1, Kind::bag}, {2, Kind::single}, {2, Kind::weighted}, {0, Kind::single}};
      const std::vector<float> want = job.run();
      for (const int threads : {2, 3, 7}) {
        job.threads = threads;
        EXPECT_EQ(job.run(), want) << info.name << " with " << threads << " threads";
      }
      for (int set = 0; set < static_cast<int>(best); ++set) {
        set_isa(static_cast<Isa>(set));
        EXPECT_EQ(job.run(), want) << info.name << " with " << isa_name(isa());
      }
      set_isa(best);
      if (info.name != "adam") break;
    }
  }
}

TEST(SparseUpdate, EmptyBatchAndDroppedIdsMoveNothing) {
  Job job{.optimizer = "adagrad", .steps = 0};
  const std::vector<float> start = job.run();
  ThreadPool pool(2);
  const auto tables = job.tables(pool);
  SparseUpdate update({tables[0].get()}, {0}, 8);
  const std::vector<int32_t> ids(10, -1);
  std::vector<float> gradient(160, 1.0f);
  const IdsView view{.ids = ids.data()};
  const View g{gradient.data(), 10, 16, 16};
  for (const int64_t batch : {int64_t{0}, int64_t{10}}) {
    update.prepare(pool, batch, {&view, 1});
    EXPECT_TRUE(update.check(pool, {&g, 1}).ok());
    update.apply(pool, {&g, 1}, 1, 1);
    EXPECT_EQ(update.index(0).lookups(), 0);
  }
  EXPECT_EQ(std::vector<float>(tables[0]->weights(), tables[0]->weights() + tables[0]->size()),
            std::vector<float>(start.begin(), start.begin() + tables[0]->size()));
}

TEST(SparseUpdate, DuplicatesInABagAddUp) {
  ThreadPool pool(1);
  EmbeddingTable table("t", 4, 2, OptimizerSettings("sgd", OptimizerUse::tables, {{"lr", 1}}));
  table.initialize(pool, {}, 1);
  SparseUpdate update({&table}, {0}, 2);
  const int32_t ids[] = {2, 2, -1, 2, 1}, offsets[] = {0, 4, 5};
  const float weights[] = {1, 2, 9, 0.5f, 3};
  float gradient[] = {1, 10, 2, 20};
  const IdsView view{ids, offsets, weights};
  const View g{gradient, 2, 2, 2};
  update.prepare(pool, 2, {&view, 1});
  update.apply(pool, {&g, 1}, 1, 1);
  EXPECT_EQ(std::vector<float>(table.weights(), table.weights() + 8),
            (std::vector<float>{0, 0, -6, -60, -3.5f, -35, 0, 0}));
}

TEST(SparseUpdate, LazyAdamLeavesOtherRowsAndTheOtherMovesThem) {
  for (const double lazy : {0.0, 1.0}) {
    ThreadPool pool(2);
    OptimizerSettings s("adam", OptimizerUse::tables, {{"lr", 0.1}, {"lazy", lazy}});
    EmbeddingTable table("t", 3, 2, s);
    table.initialize(pool, {}, 1);
    SparseUpdate update({&table}, {0}, 2);
    float gradient[] = {1, 1};
    const View g{gradient, 1, 2, 2};
    for (int step = 1; step <= 2; ++step) {
      const int32_t id = step;
      const IdsView ids{.ids = &id};
      update.prepare(pool, 1, {&ids, 1});
      update.apply(pool, {&g, 1}, 1, step);
      EXPECT_NEAR(table.weights()[2], step == 1 || lazy != 0 ? -0.1 : -0.1670, 1e-4);
    }
    EXPECT_EQ(table.weights()[0], 0);
  }
}

TEST(SparseUpdate, L2PullsTouchedRowsOnly) {
  ThreadPool pool(1);
  EmbeddingTable table("t", 2, 4, OptimizerSettings("sgd", OptimizerUse::tables, {{"lr", 0.5}}), 0.1);
  table.initialize(pool, {WeightInit::Kind::constant, 2, 0}, 1);
  SparseUpdate update({&table}, {0}, 1);
  const int32_t id = 1;
  const IdsView ids{.ids = &id};
  float zeros[4] = {};
  const View g{zeros, 1, 4, 4};
  update.prepare(pool, 1, {&ids, 1});
  update.apply(pool, {&g, 1}, 1, 1);
  EXPECT_EQ(table.weights()[0], 2.0f);
  EXPECT_FLOAT_EQ(table.weights()[4], 1.9f);
}

/// A sum of gradients times weights must not overflow when it is squared.
TEST(SparseUpdate, CheckReckonsWithTheHeaviestWeight) {
  ThreadPool pool(1);
  const Job job{.dims = {1}, .batch = 1};
  const auto tables = job.tables(pool);
  SparseUpdate update({tables[0].get()}, {0}, 1);
  const std::vector<int32_t> ids{3}, offsets{0, 1};
  float gradient = 1e10f;
  for (const auto& [weight, ok] : {std::pair{1.0f, true}, {1e7f, true}, {1e8f, false}, {-1e8f, false}}) {
    const IdsView view{ids.data(), offsets.data(), &weight};
    const View gradients{&gradient, 1, 1, 1};
    update.prepare(pool, 1, {&view, 1});
    EXPECT_EQ(update.check(pool, {&gradients, 1}).ok(), ok) << weight;
  }
}

TEST(SparseUpdate, CheckNamesTheFirstBadSample) {
  ThreadPool pool(3);
  Job job{.dims = {16, 16}, .batch = 1000};
  job.features = {{0, Kind::single}, {1, Kind::single}};
  const auto tables = job.tables(pool);
  SparseUpdate update({tables[0].get(), tables[1].get()}, {0, 1}, 8);
  std::vector<Feature> made = job.make(1);
  const std::vector<IdsView> ids = {made[0].ids_view(), made[1].ids_view()};
  update.prepare(pool, 1000, ids);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e17f}) {
    for (const size_t sample : {0, 255, 256, 777}) {  // 256 to a task
      std::vector<Feature> broken = made;
      broken[1].gradient[sample * 16 + 5] = broken[1].gradient[900 * 16] = bad;
      const std::vector<View> gradients = {{broken[0].gradient.data(), 1000, 16, 16},
                                           {broken[1].gradient.data(), 1000, 16, 16}};
      const SparseCheck check = update.check(pool, gradients);
      EXPECT_FALSE(check.ok());
      EXPECT_EQ(check.feature, 1);
      EXPECT_EQ(check.sample, static_cast<int64_t>(sample));
      EXPECT_TRUE(std::isnan(bad) ? std::isnan(check.largest) : check.largest == bad);
    }
  }
}

}  // namespace
}  // namespace mtrank
