#include <algorithm>
#include <bit>
#include <string>

#include "cuda/columns.h"
#include "cuda/embedding/row_index.h"
#include "cuda/embedding/sparse_update.h"
#include "cuda/launch.h"
#include "framework/core/error.h"

/// What of an index is known before any batch: how its tables are numbered, and where its memory lies.
namespace mtrank::cuda {
namespace {

/// CUB's temporary storage where both buffers may be written: digit counts of every tile of at least 2048 keys and of
/// every pass.
size_t sort_bytes(int64_t n) { return static_cast<size_t>(n / 2 + (int64_t{1} << 20)); }

bool same_class(const DeviceTable& a, const DeviceTable& b) {
  return a.dim == b.dim && a.optimizer == b.optimizer && a.moves_every_row == b.moves_every_row;
}

/// Tables of a class side by side; classes and tables otherwise in the caller's order.
std::vector<int> order_of_tables(std::span<const DeviceTable> tables) {
  std::vector<int> order;
  std::vector<uint8_t> taken(tables.size());
  for (size_t t = 0; t < tables.size(); ++t) {
    for (size_t other = t; other < tables.size(); ++other) {
      if (taken[other] || !same_class(tables[t], tables[other])) continue;
      taken[other] = 1;
      order.push_back(static_cast<int>(other));
    }
  }
  return order;
}

bool state_aligned(const DeviceTable& t) {
  bool aligned = rows_aligned({.data = t.weights, .rows = t.rows, .cols = t.dim, .ld = t.dim}, 4);
  for (const float* slot : t.slots) aligned = aligned && reinterpret_cast<uintptr_t>(slot) % 16 == 0;
  return aligned;
}

/// Room for the segments with more than kSumBlock lookups, as many as there can be: at level l + 1 they have more than
/// 64^(l + 1) lookups. One with n lookups has at most 2 n / 65 blocks.
void plan_sums(IndexPlan& plan, RowClass& c) {
  int64_t above = kSumBlock;
  for (c.levels = 0; c.levels < kMaxLevels && c.capacity > above; ++c.levels, above *= kSumBlock) {
    c.hot[c.levels] = static_cast<uint32_t>(plan.hot_rows);
    plan.hot_rows += c.capacity / (above + 1);
  }
  c.partial = plan.partials;
  plan.partials += round_up(c.levels > 0 ? 2 * c.capacity / (kSumBlock + 1) * c.dim : 0, 4);
  if (!c.moves_every_row) return;
  c.touched_word = static_cast<uint32_t>(plan.touched_words);
  plan.touched_words += ceil_div(int64_t{c.end_row} - c.first_row, 32);
}

}  // namespace

IndexPlan plan_index(std::span<const DeviceTable> tables, std::span<const DeviceFeature> features, int64_t batch,
                     int shards) {
  MTRANK_ASSERT(std::has_single_bit(static_cast<unsigned>(shards)) && batch % shards == 0);
  IndexPlan plan;
  plan.batch = batch;
  plan.shard_rows = batch / shards;
  plan.shard_bits = std::countr_zero(static_cast<unsigned>(shards));
  const int64_t most_rows = int64_t{UINT32_MAX} >> plan.shard_bits;
  int64_t rows = 0, lookups = 0;
  const DeviceTable* before = nullptr;
  for (const int t : order_of_tables(tables)) {
    const DeviceTable& table = tables[static_cast<size_t>(t)];
    IndexTable to{};
    to.table = static_cast<uint32_t>(t);
    to.first_row = static_cast<uint32_t>(rows);
    to.first_lookup = static_cast<uint32_t>(lookups);
    to.first_feature = static_cast<uint32_t>(plan.feature_order.size());
    int64_t capacity = 0;
    for (size_t f = 0; f < features.size(); ++f) {
      if (features[f].table != t) continue;
      capacity += features[f].list ? features[f].capacity : batch;
      to.weighted |= features[f].weighted ? 1 : 0;
      plan.feature_order.push_back(static_cast<int>(f));
    }
    rows += table.rows;
    lookups += capacity;
    if (rows >= most_rows)
      throw ResourceError("the tables have " + std::to_string(rows) + " rows or more, a GPU takes fewer than " +
                          std::to_string(most_rows) +
                          (shards > 1 ? " with " + std::to_string(shards) + " logical shards" : "") +
                          ": use fewer rows, or device: cpu");
    if (lookups > INT32_MAX)
      throw ResourceError("a batch may hold " + std::to_string(lookups) +
                          " ids or more, a GPU takes fewer than 2147483648: use a smaller train.batch_size");
    to.end_row = static_cast<uint32_t>(rows);
    to.end_lookup = static_cast<uint32_t>(lookups);
    to.end_feature = static_cast<uint32_t>(plan.feature_order.size());
    const auto table_features = static_cast<int64_t>(to.end_feature - to.first_feature);
    if (table_features > 0) to.lane_bits = static_cast<uint32_t>(lane_bits_of(capacity / (batch * table_features), 1));
    to.weights = table.weights;
    std::copy(table.slots.begin(), table.slots.end(), to.slots);
    plan.weighted = plan.weighted || to.weighted != 0;
    if (!before || !same_class(table, *before))
      plan.classes.push_back({.first_table = static_cast<uint32_t>(plan.tables.size()),
                              .first_row = to.first_row,
                              .dim = table.dim,
                              .optimizer = table.optimizer,
                              .moves_every_row = table.moves_every_row,
                              .aligned = true});
    RowClass& c = plan.classes.back();
    plan.tables.push_back(to);
    c.end_table = static_cast<uint32_t>(plan.tables.size());
    c.end_row = to.end_row;
    c.aligned = c.aligned && state_aligned(table);
    c.capacity += capacity;
    before = &table;
  }
  for (RowClass& c : plan.classes) plan_sums(plan, c);
  for (const DeviceFeature& f : features) plan.table_of.push_back(static_cast<uint32_t>(f.table));
  plan.rows = static_cast<uint32_t>(rows);
  plan.capacity = static_cast<uint32_t>(lookups);
  plan.key_bits = static_cast<int>(std::bit_width(plan.no_lookup()));
  plan.feature_bits = features.size() > 1 ? static_cast<int>(std::bit_width(features.size() - 1)) : 0;
  if (const int64_t most = int64_t{UINT32_MAX} >> plan.feature_bits; batch > most)
    throw ResourceError("a batch of " + std::to_string(batch) + " samples with " + std::to_string(features.size()) +
                        " features that look up tables is more than a GPU numbers: train.batch_size may be " +
                        std::to_string(most) + " at most");
  plan.sort_bytes = sort_bytes(lookups);
  return plan;
}

size_t place_index(const IndexPlan& plan, std::byte* base, IndexMemory* memory) {
  size_t at = 0;
  const auto take = [&]<class T>(T*& pointer, size_t count) {
    pointer = base ? reinterpret_cast<T*>(base + at) : nullptr;
    at += static_cast<size_t>(round_up(static_cast<int64_t>(std::max<size_t>(count, 1) * sizeof(T)), 256));
  };
  IndexMemory unused{};
  IndexMemory& m = memory ? *memory : unused;
  const size_t n = plan.capacity, tables = plan.tables.size(), features = plan.feature_order.size();
  take(m.tables, tables);
  take(m.table_of, features);
  take(m.features, features);
  take(m.gradients, features);
  take(m.largest, features);
  for (int i = 0; i < 2; ++i) {
    take(m.keys[i], n + 1);
    take(m.values[i], n);
  }
  take(m.source, plan.weighted ? n : 0);
  take(m.weight, plan.weighted ? n : 0);
  take(m.sort, plan.sort_bytes);
  take(m.tiles, plan.tiles());
  take(m.segments, 1);
  take(m.lookups, tables);
  take(m.table_segment, tables + 1);
  const size_t cleared = at;
  take(m.heaviest, tables);
  take(m.hot_count, plan.classes.size() * kMaxLevels);
  take(m.touched, static_cast<size_t>(plan.touched_words));
  m.cleared_bytes = at - cleared;
  take(m.hot, static_cast<size_t>(plan.hot_rows));
  take(m.partial, static_cast<size_t>(plan.partials));
  return at;
}

}  // namespace mtrank::cuda
