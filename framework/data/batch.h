#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "framework/core/tensor.h"

namespace mtrank {

enum class FeatureKind : uint8_t { id, ids, bucket, dense };
/// How a value becomes a row of its table. `bucket`: the number of boundaries that are not above the value.
enum class IdKind : uint8_t { hash, vocab, integer, bucket };

/// One input of the model. Features stand in the order of the config; a config feature with several id columns is
/// one feature a column, all with the same `group`.
struct FeatureInfo {
  std::string name;   ///< unique: the config's name, or "<group>.<column>" for one of several id columns
  std::string group;  ///< the config's name
  FeatureKind kind = FeatureKind::id;
  std::string table;      ///< id, ids, bucket
  int slot = 0;           ///< its place in Batch::ids, or in Batch::dense for a dense block
  int max_len = 1;        ///< ids: the most ids a row has
  bool weighted = false;  ///< ids: a weight stands beside every id
  int width = 0;          ///< dense: number of columns
};

struct TableInfo {
  std::string name;
  IdKind ids = IdKind::hash;
  int64_t rows = 0;  ///< vocab: known after the statistics pass; row 0 is the shared row of unseen values
};

struct LabelInfo {
  std::string name;
  bool binary = true;
  bool logit_corrected = false;  ///< Batch::logit_correction applies to tasks of this label
};

/// What a batch holds, and where.
struct InputSchema {
  std::vector<FeatureInfo> features;
  std::vector<TableInfo> tables;
  std::vector<LabelInfo> labels;
  std::vector<std::string> conditions;  ///< the distinct `only_when` texts
  std::vector<std::string> keys;        ///< columns that group or segment metrics

  /// Position by name, or -1.
  int feature(const std::string& name) const;
  int table(const std::string& name) const;
  int label(const std::string& name) const;
  int condition(const std::string& text) const;
  int key(const std::string& column) const;
  int id_slots() const;
  int dense_slots() const;
};

/// The ids of one feature: see IdsView. `offsets` is empty for one id a row.
struct IdColumn {
  std::vector<int32_t> ids;
  std::vector<int32_t> offsets;  // [B + 1]
  std::vector<float> weights;

  /// Rows [first, ...) of the batch.
  IdsView view(int64_t first = 0) const {
    if (offsets.empty()) return {ids.data() + first, nullptr, weights.empty() ? nullptr : weights.data() + first};
    return {ids.data(), offsets.data() + first, weights.empty() ? nullptr : weights.data()};
  }
};

/// Consecutive samples of the (shuffled) stream. Plain memory that is reused from batch to batch.
struct Batch {
  int64_t rows = 0;
  int64_t epoch = 0;
  /// Number of the first sample since the start of training: epoch * rows of an epoch + position in the epoch.
  /// What dropout and the like are counted by.
  int64_t first_sample = 0;
  bool end_of_epoch = false;

  std::vector<IdColumn> ids;                     ///< by FeatureInfo::slot
  std::vector<std::vector<float>> dense;         ///< by FeatureInfo::slot; [B, width]
  std::vector<std::vector<float>> labels;        ///< by label; [B], NaN = missing
  std::vector<std::vector<uint8_t>> conditions;  ///< by condition; [B], 1 where it holds
  std::vector<std::vector<uint64_t>> keys;       ///< by key column; [B] hash of the value's bytes (data/hash.h)
  std::vector<float> weight;                     ///< [B], or empty: every row weighs 1
  std::vector<float> sampling_weight;            ///< `weight` over the chance to be kept; see weights()
  std::vector<float> logit_correction;           ///< [B], or empty; added to the logits in training only
  std::vector<std::vector<std::string>> kept;    ///< columns copied for predict --keep; [B]

  /// Row weights for tasks of a label, or null when every row weighs 1. Where negatives were sampled, a task whose
  /// logits are corrected takes the plain weights, every other one those divided by the chance to be kept.
  const float* weights(const LabelInfo& label) const {
    const auto& w = label.logit_corrected || sampling_weight.empty() ? weight : sampling_weight;
    return w.empty() ? nullptr : w.data();
  }
};

/// A stream of batches. Deterministic: the same source and position give the same batches, whatever the threads.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual const InputSchema& schema() const = 0;
  /// Samples of an epoch, or -1 where only reading tells (prediction on raw files).
  virtual int64_t rows() const = 0;
  /// The next batch begins at this sample of this epoch. A source starts at (0, 0).
  virtual void seek(int64_t epoch, int64_t sample) = 0;
  /// Fills `batch` with the next samples of the current epoch; the last batch of an epoch may be smaller and has
  /// `end_of_epoch` set (never where rows() is -1). False, and rows = 0, once the epoch is over; then `seek` to the
  /// next one.
  virtual bool next(Batch& batch) = 0;
  /// The value whose hash a key column holds, for the names of segments; empty when unknown.
  virtual std::string key_value(int key, uint64_t hash) const;
};

}  // namespace mtrank
