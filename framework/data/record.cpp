#include "framework/data/record.h"

namespace mtrank {
namespace {

/// Columns of one word: the same word of consecutive records.
template <class T>
void gather(const uint32_t* const* records, int64_t rows, int word, T* out) {
  static_assert(sizeof(T) == 4);
  for (int64_t r = 0; r < rows; ++r) std::memcpy(out + r, records[r] + word, 4);
}

/// The lines of a record that the next tile begins with; the rest follows in order, which the processor foresees.
void prefetch(const uint32_t* record, int words) {
  for (int at = 0; at < words; at += 16) __builtin_prefetch(record + at);
}

/// A list of a few words: most are too short for a call.
void copy_words(void* to, const uint32_t* from, uint32_t n) {
  if (n == 1)
    std::memcpy(to, from, 4);
  else if (n > 0)
    std::memcpy(to, from, 4 * size_t{n});
}

template <class Columns>
void resize_all(Columns& columns, size_t count, size_t rows) {
  columns.resize(count);
  for (auto& column : columns) column.resize(rows);
}

}  // namespace

RecordLayout::RecordLayout(const InputSchema& schema, bool with_weight) : has_weight(with_weight) {
  int dense_words = 0;
  for (const auto& f : schema.features) {
    if (f.kind == FeatureKind::dense) {
      dense_widths.push_back(f.width);
      dense_words += f.width;
      continue;
    }
    is_list.push_back(f.kind == FeatureKind::ids);
    if (f.kind == FeatureKind::ids) lists.push_back({id_slots, f.weighted});
    ++id_slots;
  }
  labels_count = static_cast<int>(schema.labels.size());
  conditions = static_cast<int>(schema.conditions.size());
  keys_count = static_cast<int>(schema.keys.size());
  dense = id_slots;
  labels = dense + dense_words;
  weight = labels + labels_count;
  flags = weight + has_weight;
  keys = flags + flag_words();
  fixed = keys + 2 * keys_count;
}

void BatchBuilder::begin(int64_t rows, Batch& batch) {
  const auto n = static_cast<size_t>(rows);
  batch_ = &batch;
  first_ = rows_ = 0;
  batch.rows = rows;
  batch.ids.resize(static_cast<size_t>(layout_.id_slots));
  for (size_t s = 0; s < batch.ids.size(); ++s) {
    IdColumn& column = batch.ids[s];
    const bool list = layout_.is_list[s] != 0;
    if (!list) column.ids.resize(n);
    column.offsets.resize(list ? n + 1 : 0);
    column.weights.clear();
    if (list) column.offsets[0] = 0;
  }
  batch.dense.resize(layout_.dense_widths.size());
  for (size_t s = 0; s < batch.dense.size(); ++s)
    batch.dense[s].resize(n * static_cast<size_t>(layout_.dense_widths[s]));
  resize_all(batch.labels, static_cast<size_t>(layout_.labels_count), n);
  resize_all(batch.conditions, static_cast<size_t>(layout_.conditions), n);
  resize_all(batch.keys, static_cast<size_t>(layout_.keys_count), n);
  batch.weight.resize(layout_.has_weight ? n : 0);
  batch.sampling_weight.resize(correction_.weights ? n : 0);
  batch.logit_correction.assign(correction_.logits ? n : 0, correction_.logit);
}

void BatchBuilder::add(const uint32_t* const* records, int64_t rows) {
  first_ += rows_;
  records_ = records;
  rows_ = rows;
  ends_.resize(static_cast<size_t>(ranges()) * layout_.lists.size());
}

int BatchBuilder::ranges() const { return static_cast<int>((rows_ + kRange - 1) / kRange); }

void BatchBuilder::count(int range) {
  const size_t lists = layout_.lists.size();
  if (lists == 0) return;
  int32_t* sums = &list_end(range, 0);
  std::fill_n(sums, lists, 0);
  const int64_t first = range * kRange, last = end_of(range);
  for (int64_t r = first; r < last; ++r) {
    if (r + kTile < last) prefetch(records_[r + kTile], layout_.id_slots);
    for (size_t i = 0; i < lists; ++i) sums[i] += static_cast<int32_t>(records_[r][layout_.lists[i].slot]);
  }
}

void BatchBuilder::place() {
  for (size_t i = 0; i < layout_.lists.size(); ++i) {
    IdColumn& column = batch_->ids[static_cast<size_t>(layout_.lists[i].slot)];
    int32_t total = column.offsets[static_cast<size_t>(first_)];
    for (int range = 0; range < ranges(); ++range) {
      const int32_t n = list_end(range, i);
      list_end(range, i) = total;
      total += n;
    }
    column.offsets[static_cast<size_t>(first_ + rows_)] = total;
    column.ids.resize(static_cast<size_t>(total));
    if (layout_.lists[i].weighted) column.weights.resize(static_cast<size_t>(total));
  }
}

void BatchBuilder::fill(int range) const {
  const size_t lists = layout_.lists.size();
  thread_local std::vector<int32_t> at;  // by list: where its next ids go
  const auto ends = ends_.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(range) * lists);
  at.assign(ends, ends + static_cast<ptrdiff_t>(lists));
  const int64_t last = end_of(range);
  for (int64_t first = range * kRange; first < last; first += kTile) {
    const int64_t end = std::min(last, first + kTile);
    for (int64_t r = end; r < std::min(last, end + kTile); ++r) prefetch(records_[r], layout_.fixed);
    fill_fixed(first, end);
    fill_weights(first, end);
    fill_lists(first, end, at.data());
  }
}

void BatchBuilder::fill_fixed(int64_t first, int64_t last) const {
  const uint32_t* const* records = records_ + first;
  const int64_t rows = last - first;
  const auto to = static_cast<size_t>(first_ + first);
  for (size_t s = 0; s < batch_->ids.size(); ++s)
    if (!layout_.is_list[s]) gather(records, rows, static_cast<int>(s), batch_->ids[s].ids.data() + to);
  int word = layout_.dense;
  for (size_t s = 0; s < layout_.dense_widths.size(); ++s) {
    const auto width = static_cast<size_t>(layout_.dense_widths[s]);
    float* block = batch_->dense[s].data() + to * width;
    for (int64_t r = 0; r < rows; ++r, block += width) std::memcpy(block, records[r] + word, 4 * width);
    word += static_cast<int>(width);
  }
  for (size_t i = 0; i < batch_->labels.size(); ++i)
    gather(records, rows, layout_.labels + static_cast<int>(i), batch_->labels[i].data() + to);
  for (size_t c = 0; c < batch_->conditions.size(); ++c)
    for (int64_t r = 0; r < rows; ++r)
      batch_->conditions[c][to + static_cast<size_t>(r)] = layout_.flag(records[r], 1 + static_cast<int>(c));
  for (size_t k = 0; k < batch_->keys.size(); ++k)
    for (int64_t r = 0; r < rows; ++r)
      std::memcpy(&batch_->keys[k][to + static_cast<size_t>(r)], records[r] + layout_.keys + 2 * k, 8);
}

void BatchBuilder::fill_weights(int64_t first, int64_t last) const {
  const auto to = static_cast<size_t>(first_ + first);
  if (layout_.has_weight) gather(records_ + first, last - first, layout_.weight, batch_->weight.data() + to);
  if (!correction_.weights) return;
  for (size_t r = to; r < static_cast<size_t>(first_ + last); ++r)
    batch_->sampling_weight[r] =
        (layout_.has_weight ? batch_->weight[r] : 1.0f) *
        (layout_.flag(records_[r - static_cast<size_t>(first_)], 0) ? correction_.weight : 1.0f);
}

/// Lists stand one after the other in a record: `from` remembers where each row's next one begins.
void BatchBuilder::fill_lists(int64_t first, int64_t last, int32_t* at) const {
  uint32_t from[kTile];
  std::fill_n(from, kTile, static_cast<uint32_t>(layout_.fixed));
  for (const auto& list : layout_.lists) {
    IdColumn& column = batch_->ids[static_cast<size_t>(list.slot)];
    int32_t to = *at;
    for (int64_t r = first; r < last; ++r) {
      const uint32_t* record = records_[r];
      const uint32_t n = record[list.slot];
      uint32_t& place = from[r - first];
      column.offsets[static_cast<size_t>(first_ + r)] = to;
      copy_words(column.ids.data() + to, record + place, n);
      place += n;
      if (list.weighted) {
        copy_words(column.weights.data() + to, record + place, n);
        place += n;
      }
      to += static_cast<int32_t>(n);
    }
    *at++ = to;
  }
}

void build_batch(const RecordLayout& layout, const SampleCorrection& correction, const uint32_t* const* records,
                 int64_t rows, Batch& batch) {
  BatchBuilder builder(layout, correction);
  builder.begin(rows, batch);
  builder.add(records, rows);
  for (int range = 0; range < builder.ranges(); ++range) builder.count(range);
  builder.place();
  for (int range = 0; range < builder.ranges(); ++range) builder.fill(range);
}

}  // namespace mtrank
