#include "framework/data/record.h"

namespace mtrank {
namespace {

/// Column `word` of the records' fixed part.
template <class T>
void gather(const uint32_t* const* records, int64_t rows, int word, std::vector<T>& out) {
  static_assert(sizeof(T) == 4);
  out.resize(static_cast<size_t>(rows));
  for (int64_t r = 0; r < rows; ++r) std::memcpy(&out[static_cast<size_t>(r)], records[r] + word, 4);
}

class Builder {
 public:
  Builder(const RecordLayout& layout, const uint32_t* const* records, int64_t rows, Batch& batch)
      : layout_(layout), records_(records), rows_(rows), batch_(batch) {}

  void ids() {
    batch_.ids.resize(static_cast<size_t>(layout_.id_slots));
    for (int s = 0; s < layout_.id_slots; ++s) {
      if (layout_.is_list[static_cast<size_t>(s)]) continue;
      auto& column = batch_.ids[static_cast<size_t>(s)];
      gather(records_, rows_, s, column.ids);
      column.offsets.clear();
      column.weights.clear();
    }
  }

  /// Lists stand one after the other in a record: `at` remembers where each row's next one begins.
  void lists() {
    if (layout_.lists.empty()) return;
    std::vector<uint32_t> at(static_cast<size_t>(rows_), static_cast<uint32_t>(layout_.fixed));
    for (const auto& list : layout_.lists) one_list(list, at.data());
  }

  void dense() {
    batch_.dense.resize(layout_.dense_widths.size());
    int word = layout_.dense;
    for (size_t s = 0; s < layout_.dense_widths.size(); ++s) {
      const auto width = static_cast<size_t>(layout_.dense_widths[s]);
      auto& block = batch_.dense[s];
      block.resize(static_cast<size_t>(rows_) * width);
      for (int64_t r = 0; r < rows_; ++r)
        std::memcpy(block.data() + static_cast<size_t>(r) * width, records_[r] + word, 4 * width);
      word += static_cast<int>(width);
    }
  }

  void labels() {
    batch_.labels.resize(static_cast<size_t>(layout_.labels_count));
    for (int i = 0; i < layout_.labels_count; ++i)
      gather(records_, rows_, layout_.labels + i, batch_.labels[static_cast<size_t>(i)]);
  }

  void conditions() {
    batch_.conditions.resize(static_cast<size_t>(layout_.conditions));
    for (int c = 0; c < layout_.conditions; ++c) {
      auto& mask = batch_.conditions[static_cast<size_t>(c)];
      mask.resize(static_cast<size_t>(rows_));
      for (int64_t r = 0; r < rows_; ++r) mask[static_cast<size_t>(r)] = flag(r, 1 + c);
    }
  }

  void keys() {
    batch_.keys.resize(static_cast<size_t>(layout_.keys_count));
    for (int k = 0; k < layout_.keys_count; ++k) {
      auto& column = batch_.keys[static_cast<size_t>(k)];
      column.resize(static_cast<size_t>(rows_));
      for (int64_t r = 0; r < rows_; ++r)
        std::memcpy(&column[static_cast<size_t>(r)], records_[r] + layout_.keys + 2 * k, 8);
    }
  }

  void weights(const SampleCorrection& correction) {
    batch_.weight.clear();
    batch_.sampling_weight.clear();
    batch_.logit_correction.clear();
    if (layout_.has_weight) gather(records_, rows_, layout_.weight, batch_.weight);
    if (correction.weights) {
      batch_.sampling_weight.resize(static_cast<size_t>(rows_));
      for (size_t r = 0; r < static_cast<size_t>(rows_); ++r)
        batch_.sampling_weight[r] = (layout_.has_weight ? batch_.weight[r] : 1.0f) *
                                    (flag(static_cast<int64_t>(r), 0) ? correction.weight : 1.0f);
    }
    if (correction.logits) batch_.logit_correction.assign(static_cast<size_t>(rows_), correction.logit);
  }

 private:
  uint8_t flag(int64_t row, int bit) const { return records_[row][layout_.flags + bit / 32] >> (bit % 32) & 1; }

  void one_list(const RecordLayout::List& list, uint32_t* at) {
    auto& column = batch_.ids[static_cast<size_t>(list.slot)];
    column.offsets.resize(static_cast<size_t>(rows_) + 1);
    int32_t total = 0;
    for (int64_t r = 0; r < rows_; ++r) {
      column.offsets[static_cast<size_t>(r)] = total;
      total += static_cast<int32_t>(records_[r][list.slot]);
    }
    column.offsets[static_cast<size_t>(rows_)] = total;
    column.ids.resize(static_cast<size_t>(total));
    column.weights.resize(list.weighted ? static_cast<size_t>(total) : 0);
    for (int64_t r = 0; r < rows_; ++r) {
      const uint32_t n = records_[r][list.slot];
      const auto to = static_cast<size_t>(column.offsets[static_cast<size_t>(r)]);
      if (n > 0) std::memcpy(column.ids.data() + to, records_[r] + at[r], 4 * size_t{n});
      at[r] += n;
      if (!list.weighted) continue;
      if (n > 0) std::memcpy(column.weights.data() + to, records_[r] + at[r], 4 * size_t{n});
      at[r] += n;
    }
  }

  const RecordLayout& layout_;
  const uint32_t* const* records_;
  const int64_t rows_;
  Batch& batch_;
};

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

void build_batch(const RecordLayout& layout, const SampleCorrection& correction, const uint32_t* const* records,
                 int64_t rows, Batch& batch) {
  batch.rows = rows;
  Builder builder(layout, records, rows, batch);
  builder.ids();
  builder.lists();
  builder.dense();
  builder.labels();
  builder.conditions();
  builder.keys();
  builder.weights(correction);
}

}  // namespace mtrank
