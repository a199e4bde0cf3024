#pragma once

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

/// Fills a batch from encoded rows. Sets the rows and columns, nothing about epoch or position.
void build_batch(const RecordLayout& layout, const SampleCorrection& correction, const uint32_t* const* records,
                 int64_t rows, Batch& batch);

}  // namespace mtrank
