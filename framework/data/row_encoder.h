#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "framework/data/reader.h"
#include "framework/data/record.h"
#include "framework/data/row_spec.h"
#include "framework/data/transforms.h"

namespace mtrank {

/// Where rows are going. Training alone samples and sees the values of features that are `train_only`.
enum class EncodeFor : uint8_t { training, scoring };

/// Turns the values of a row into a record. Immutable, so that threads can share it.
class RowEncoder {
 public:
  RowEncoder(FeatureTransforms transforms, RowSpec rows, EncodeFor purpose);
  ~RowEncoder();
  RowEncoder(const RowEncoder&) = delete;
  RowEncoder& operator=(const RowEncoder&) = delete;

  /// The columns `encode` takes, without duplicates.
  const std::vector<std::string>& columns() const { return columns_; }
  const InputSchema& schema() const { return schema_; }
  const RecordLayout& layout() const { return layout_; }
  const SampleCorrection& correction() const { return correction_; }

  enum class Result : uint8_t { row, left_out, bad };
  /// Appends the record of a row to `out`, unless it is left out (by the split or the sample) or bad (then `bad` tells
  /// column, value and problem). `values` are those of `columns()`, each readable 8 bytes past its end; `row` is its
  /// number in the data, from 0.
  Result encode(const std::string_view* values, int64_t row, std::vector<uint32_t>& out, BadRow& bad) const;
  /// Whether a row belongs to the encoder's part of a split.
  bool in_split(const std::string_view* values, int64_t row) const;

 private:
  struct IdStep;
  struct DenseColumn;
  struct LabelStep;
  class Encoding;

  int column(const std::string& name);
  void plan_features(EncodeFor purpose);
  void plan_rows(EncodeFor purpose);

  FeatureTransforms transforms_;
  RowSpec rows_;
  std::vector<std::string> columns_;
  InputSchema schema_;
  RecordLayout layout_;
  SampleCorrection correction_;
  std::vector<IdStep> ids_;
  std::vector<DenseColumn> dense_;
  std::vector<LabelStep> labels_;
  std::vector<int> key_columns_;
  int weight_column_ = -1;
  int split_column_ = -1;
  uint64_t split_seed_ = 0;
  bool sampling_ = false;
  bool empties_ids_ = false;
};

/// The value of a label, NaN when missing. False, with `bad` told, when it cannot be one.
bool parse_label(const LabelSpec& label, const std::vector<std::string>& missing, std::string_view value, float& out,
                 BadRow& bad);
/// The fold of a row by the value of a column.
int fold_of(std::string_view value, uint64_t seed, int folds);
/// An id, or the empty one where it is among `missing`. Readable past its end as it was.
std::string_view id_or_empty(const std::vector<std::string>& missing, std::string_view value);
bool is_missing(const std::vector<std::string>& missing, std::string_view value);

}  // namespace mtrank
