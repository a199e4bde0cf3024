#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "framework/data/batch.h"

namespace mtrank {

/// An encoded row: 32-bit words, first those every row has, then the lists.
///     id slots (an id, or the length of a list) | dense | labels | weight | flags | keys (two words each)
///     | for each list: its ids, then its weights
struct RecordLayout {
  explicit RecordLayout(const InputSchema& schema, bool has_weight);
  RecordLayout() = default;

  struct List {
    int slot;
    bool weighted;
  };
  int id_slots = 0;
  std::vector<int> dense_widths;  ///< by slot
  std::vector<uint8_t> is_list;   ///< by id slot
  std::vector<List> lists;
  int labels_count = 0, conditions = 0, keys_count = 0;
  bool has_weight = false;
  int dense = 0, labels = 0, weight = 0, flags = 0, keys = 0, fixed = 0;  ///< where each part begins

  /// Bit 0 of the flags: the row met the condition of a sample. Bit 1 + i: condition i holds.
  int flag_words() const { return (1 + conditions + 31) / 32; }

  uint8_t flag(const uint32_t* record, int bit) const { return record[flags + bit / 32] >> (bit % 32) & 1; }

  /// Words of a record.
  size_t size(const uint32_t* record) const {
    size_t words = static_cast<size_t>(fixed);
    for (const List& list : lists) words += record[list.slot] * size_t{list.weighted ? 2u : 1u};
    return words;
  }
};

/// How sampling is undone, for the rows whose flag says so.
struct SampleCorrection {
  float weight = 1;      ///< of a row that met the condition and was kept
  float logit = 0;       ///< added to every logit of corrected labels
  bool weights = false;  ///< Batch::sampling_weight is wanted
  bool logits = false;   ///< Batch::logit_correction is wanted
};

/// Fills a batch from encoded rows: sets the rows and columns, nothing about epoch or position. The rows may come in
/// several pieces; those of a piece are cut into ranges that any threads fill, with the same result.
///
///     builder.begin(rows, batch);
///     builder.add(records, n);            // the next n rows
///     for (range : builder.ranges()) builder.count(range);
///     builder.place();
///     for (range : builder.ranges()) builder.fill(range);
///
/// Allocates nothing that an earlier batch of this size had room for.
class BatchBuilder {
 public:
  BatchBuilder(const RecordLayout& layout, const SampleCorrection& correction)
      : layout_(layout), correction_(correction) {}

  void begin(int64_t rows, Batch& batch);
  void add(const uint32_t* const* records, int64_t rows);
  int ranges() const;
  void count(int range);
  void place();
  void fill(int range) const;

 private:
  static constexpr int64_t kRange = 512;  ///< rows
  static constexpr int64_t kTile = 16;    ///< rows whose records stay in the first cache: a line of every column

  int64_t end_of(int64_t range) const { return std::min(rows_, (range + 1) * kRange); }
  int32_t& list_end(int64_t range, size_t list) {
    return ends_[static_cast<size_t>(range) * layout_.lists.size() + list];
  }
  void fill_fixed(int64_t first, int64_t last) const;
  void fill_weights(int64_t first, int64_t last) const;
  void fill_lists(int64_t first, int64_t last, int32_t* at) const;

  const RecordLayout& layout_;
  const SampleCorrection& correction_;
  Batch* batch_ = nullptr;
  const uint32_t* const* records_ = nullptr;  ///< of this piece
  int64_t rows_ = 0;                          ///< of this piece
  int64_t first_ = 0;                         ///< where it begins in the batch
  std::vector<int32_t> ends_;                 ///< [ranges, lists]: ids of the range, then where its first one goes
};

/// All of it on this thread.
void build_batch(const RecordLayout& layout, const SampleCorrection& correction, const uint32_t* const* records,
                 int64_t rows, Batch& batch);

}  // namespace mtrank
