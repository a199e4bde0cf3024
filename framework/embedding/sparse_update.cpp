#include "framework/embedding/sparse_update.h"

#include <algorithm>
#include <bit>

#include "framework/core/error.h"
#include "framework/core/reduce.h"
#include "framework/embedding/shard_tree.h"

namespace mtrank {
namespace {

constexpr int64_t kTaskCost = 1024;   // of a task: its lookups, and a few for each row
constexpr int64_t kRowCost = 4;       // a row's own, in lookups
constexpr int64_t kHotRow = 4096;     // lookups of a row that is summed by shards
constexpr int64_t kTogether = 32;     // rows summed before they are updated: they stay in the first caches
constexpr int64_t kSweep = 1 << 16;   // floats of a task over rows that no id touched
constexpr float kLargestSum = 1e18f;  // its square fits a float
constexpr int64_t kCheckRows = 256;   // samples of a task of check()

}  // namespace

SparseUpdate::SparseUpdate(std::vector<EmbeddingTable*> tables, std::vector<int> table_of, int logical_shards)
    : table_of_(std::move(table_of)), shards_(logical_shards) {
  MTRANK_ASSERT(std::has_single_bit(static_cast<unsigned>(shards_)) && shards_ <= 1 << kMaxShardLevels);
  per_table_.resize(tables.size());
  for (size_t t = 0; t < tables.size(); ++t) per_table_[t].table = tables[t];
  for (size_t f = 0; f < table_of_.size(); ++f)
    per_table_[static_cast<size_t>(table_of_[f])].features.push_back(static_cast<int>(f));
}

void SparseUpdate::prepare(ThreadPool& pool, int64_t batch, std::span<const IdsView> ids) {
  MTRANK_ASSERT(ids.size() == table_of_.size());
  set_shards(batch);
  pool.run(static_cast<int>(per_table_.size()),
           [&](int t, int) { prepare_table(per_table_[static_cast<size_t>(t)], ids); });
  plan_tasks();
}

void SparseUpdate::set_shards(int64_t batch) {
  if (batch == batch_) return;
  batch_ = batch;
  shard_.resize(static_cast<size_t>(batch));
  for (int64_t s = 0; s < shards_; ++s)
    std::fill(shard_.begin() + shard_begin(batch, s, shards_), shard_.begin() + shard_begin(batch, s + 1, shards_),
              static_cast<uint16_t>(s));
}

void SparseUpdate::prepare_table(PerTable& t, std::span<const IdsView> ids) {
  t.ids.clear();
  for (const int f : t.features) t.ids.push_back(ids[static_cast<size_t>(f)]);
  t.index.build(t.ids, batch_, t.table->rows());
  const auto weight = t.index.weight();
  const float heaviest = weight.empty() ? 1.0f : max_abs(weight.data(), static_cast<int64_t>(weight.size()));
  t.limit = kLargestSum / (static_cast<float>(t.index.lookups() + 1) * (1.0f + heaviest));
  t.lookups = {.dim = t.table->dim(),
               .source = t.index.source().data(),
               .weight = weight.empty() ? nullptr : weight.data(),
               .feature_bits = t.index.feature_bits(),
               .gradients = nullptr,
               .shard = shard_.data()};
  cut_into_tasks(t);
}

void SparseUpdate::cut_into_tasks(PerTable& t) {
  const auto begin = t.index.begin();
  const auto rows = static_cast<int64_t>(t.index.rows().size());
  t.cuts.assign(1, 0);
  t.hot_count = 0;
  int64_t cost = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t lookups = begin[static_cast<size_t>(r) + 1] - begin[static_cast<size_t>(r)];
    const bool hot = lookups >= kHotRow;
    if (hot) add_hot_row(t, r);
    cost += kRowCost + (hot ? shards_ : lookups);
    if (cost < kTaskCost && r + 1 < rows) continue;
    t.cuts.push_back(r + 1);
    cost = 0;
  }
}

void SparseUpdate::add_hot_row(PerTable& t, int64_t row) {
  if (t.hot_count == t.hot.size()) t.hot.emplace_back();
  HotRow& hot = t.hot[t.hot_count++];
  hot.row = row;
  hot.shards.clear();
  hot.begin.clear();
  const auto source = t.index.source();
  const int64_t end = t.index.begin()[static_cast<size_t>(row) + 1];
  for (int64_t i = t.index.begin()[static_cast<size_t>(row)]; i < end;) {
    const int s = shard_[static_cast<size_t>(t.index.sample(source[static_cast<size_t>(i)]))];
    hot.shards.push_back(s);
    hot.begin.push_back(i);
    const int64_t next_sample = shard_begin(batch_, s + 1, shards_);
    i = std::partition_point(source.begin() + i, source.begin() + end,
                             [&](uint32_t x) { return t.index.sample(x) < next_sample; }) -
        source.begin();
  }
  hot.begin.push_back(end);
}

/// Everything that `apply` hands to threads. How work is cut has no influence on what comes out.
void SparseUpdate::plan_tasks() {
  tasks_.clear();
  hot_parts_.clear();
  int64_t floats = 0;
  for (size_t i = 0; i < per_table_.size(); ++i) {
    PerTable& t = per_table_[i];
    const int table = static_cast<int>(i);
    for (size_t c = 0; c + 1 < t.cuts.size(); ++c)
      tasks_.push_back({table, TaskKind::touched, t.cuts[c], t.cuts[c + 1]});
    for (size_t h = 0; h < t.hot_count; ++h) {
      t.hot[h].part = floats;
      floats += static_cast<int64_t>(t.hot[h].shards.size()) * t.table->dim();
      for (size_t s = 0; s < t.hot[h].shards.size(); ++s) hot_parts_.push_back({table, h, s});
    }
    if (!t.table->moves_every_row()) continue;
    const int64_t step = std::max<int64_t>(1, kSweep / t.table->dim()), rows = t.table->rows();
    for (int64_t r = 0; r < rows; r += step)
      tasks_.push_back({table, TaskKind::untouched, r, std::min(rows, r + step)});
  }
  if (static_cast<size_t>(floats) > parts_.size()) parts_.resize(static_cast<size_t>(floats));
}

SparseCheck SparseUpdate::check(ThreadPool& pool, std::span<const View> gradients) const {
  const auto blocks = static_cast<size_t>((batch_ + kCheckRows - 1) / kCheckRows);
  const auto block_max = [&](size_t f, int64_t begin, int64_t end) {
    const View& g = gradients[f];
    uint32_t most = 0;
    for (int64_t r = begin; r < end; ++r)
      most = std::max(most, std::bit_cast<uint32_t>(max_abs(g.row<const float>(r), g.cols)));
    return std::bit_cast<float>(most);  // the bits of magnitudes are ordered, a NaN last
  };
  std::vector<float> largest(gradients.size() * blocks);
  pool.run(static_cast<int>(largest.size()), [&](int task, int) {
    const auto i = static_cast<size_t>(task);
    const auto first = static_cast<int64_t>(i % blocks) * kCheckRows;
    largest[i] = block_max(i / blocks, first, std::min(batch_, first + kCheckRows));
  });
  SparseCheck result{.largest = max_abs(largest.data(), static_cast<int64_t>(largest.size()))};
  for (size_t i = 0; i < largest.size() && result.ok(); ++i) {
    const size_t f = i / blocks;
    const float limit = per_table_[static_cast<size_t>(table_of_[f])].limit;
    if (largest[i] <= limit) continue;
    int64_t sample = static_cast<int64_t>(i % blocks) * kCheckRows;
    while (block_max(f, sample, sample + 1) <= limit) ++sample;
    result.feature = static_cast<int>(f);
    result.sample = sample;
  }
  return result;
}

void SparseUpdate::apply(ThreadPool& pool, std::span<const View> gradients, double lr_factor, int64_t step) {
  MTRANK_ASSERT(gradients.size() == table_of_.size() && step > 0);
  bind(gradients, lr_factor, step);
  scratch_.resize(std::max(scratch_.size(), static_cast<size_t>(pool.threads())));
  pool.run(static_cast<int>(hot_parts_.size()), [&](int i, int) { sum_hot_part(hot_parts_[static_cast<size_t>(i)]); });
  pool.run(static_cast<int>(tasks_.size()), [&](int i, int thread) {
    const Task& task = tasks_[static_cast<size_t>(i)];
    PerTable& t = per_table_[static_cast<size_t>(task.table)];
    if (task.kind == TaskKind::touched)
      update_touched(t, task.begin, task.end, scratch_[static_cast<size_t>(thread)]);
    else
      update_untouched(t, task.begin, task.end);
  });
}

void SparseUpdate::bind(std::span<const View> gradients, double lr_factor, int64_t step) {
  for (PerTable& t : per_table_) {
    t.gradients.clear();
    for (const int f : t.features) {
      const View& g = gradients[static_cast<size_t>(f)];
      MTRANK_ASSERT(g.cols == t.table->dim() && g.rows >= batch_);
      t.gradients.push_back(g);
    }
    t.lookups.gradients = t.gradients.data();
    const OptimizerSettings& optimizer = t.table->optimizer();
    const double lr = optimizer.lr * lr_factor;
    t.step = optimizer.info().step(optimizer, lr, step, t.table->l2());
    t.untouched_step = optimizer.info().step(optimizer, lr, step, 0);
  }
}

void SparseUpdate::sum_hot_part(const HotPart& part) {
  const PerTable& t = per_table_[static_cast<size_t>(part.table)];
  const HotRow& hot = t.hot[part.hot];
  float* out = parts_.data() + hot.part + static_cast<int64_t>(part.shard) * t.lookups.dim;
  sum_shard(t.lookups, hot.begin[part.shard], hot.begin[part.shard + 1], out);
}

void SparseUpdate::update_touched(PerTable& t, int64_t begin, int64_t end, Scratch& scratch) {
  const int64_t dim = t.lookups.dim;
  scratch.sums.resize(std::max(scratch.sums.size(), static_cast<size_t>(kTogether * dim)));
  scratch.gradients.resize(kTogether);
  const OptimizerInfo& optimizer = t.table->optimizer().info();
  const RowPrefetch near{t.table->weights(), t.table->slots(), optimizer.slots[0].shape == SlotShape::row};
  auto hot = std::partition_point(t.hot.begin(), t.hot.begin() + static_cast<int64_t>(t.hot_count),
                                  [&](const HotRow& h) { return h.row < begin; });
  for (int64_t first = begin; first < end; first += kTogether) {
    const int64_t count = std::min(kTogether, end - first);
    const int32_t* rows = t.index.rows().data() + first;
    std::fill(scratch.gradients.begin(), scratch.gradients.end(), nullptr);
    for (; hot != t.hot.begin() + static_cast<int64_t>(t.hot_count) && hot->row < first + count; ++hot) {
      float* sum = scratch.sums.data() + (hot->row - first) * dim;
      fold_shards(parts_.data() + hot->part, hot->shards.data(), static_cast<int>(hot->shards.size()), dim, sum);
      scratch.gradients[static_cast<size_t>(hot->row - first)] = sum;
    }
    sum_rows(t.lookups, t.index.begin().data() + first, rows, count, near, scratch.sums.data(),
             scratch.gradients.data());
    optimizer.update_rows(t.step, {t.table->weights(), dim, t.table->slots(), rows, scratch.gradients.data(), count});
  }
}

/// Rows [begin, end) of the table but for those that ids touched: their gradient is 0.
void SparseUpdate::update_untouched(const PerTable& t, int64_t begin, int64_t end) {
  const auto rows = t.index.rows();
  auto touched = std::lower_bound(rows.begin(), rows.end(), begin);
  for (int64_t r = begin; r < end;) {
    const int64_t stop = touched == rows.end() || *touched >= end ? end : *touched++;
    const FlatUpdate run{.weights = t.table->weights() + r * t.lookups.dim,
                         .gradient = nullptr,
                         .slots = t.table->slots(r),
                         .n = (stop - r) * t.lookups.dim};
    if (run.n > 0) t.table->optimizer().info().update_flat(t.untouched_step, run);
    r = stop + 1;
  }
}

}  // namespace mtrank
