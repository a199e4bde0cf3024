#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "framework/data/batch.h"
#include "framework/data/vocabulary.h"

namespace mtrank {

/// A table as the values see it.
struct TableTransform {
  std::string name;
  IdKind ids = IdKind::hash;
  int64_t rows = 0;                         ///< vocab: set with `vocab`
  int64_t min_count = 1;                    ///< vocab: rarer values are unseen ones
  std::vector<std::string> vocab_from;      ///< vocab: features whose values make it; empty: all that use the table
  std::shared_ptr<const Vocabulary> vocab;  ///< learned
};

/// One step from a number to the model's input. Applied in order, in double precision, then rounded to float.
struct DenseStep {
  enum class Kind : uint8_t { clip, log1p, zscore };
  Kind kind = Kind::clip;
  double low = 0, high = 0;  ///< clip
};

/// One feature: from the values of its columns to ids or numbers.
struct FeatureTransform {
  std::string name, group;
  FeatureKind kind = FeatureKind::id;
  std::vector<std::string> columns;  ///< one, but for dense

  int table = -1;  ///< id, ids, bucket: position in FeatureTransforms::tables
  bool drop_unseen = false;
  /// ids: of the tokens between separators the first or last `max_len` are taken; then empty tokens and, with
  /// `drop_unseen`, unseen ones are left out.
  char separator = '|';
  int max_len = 1 << 20;
  bool keep_last = true;
  int64_t length = -1;         ///< ids: every list has exactly this many tokens; -1: any number
  std::string weights_column;  ///< empty: none

  /// bucket b: b boundaries are not above the value; a missing value has the bucket after the last.
  std::vector<double> boundaries;

  std::vector<DenseStep> steps;
  double missing = 0;                   ///< dense: stands for a missing value, before the steps
  std::vector<double> mean, deviation;  ///< dense with zscore, by column; learned. deviation > 0

  std::optional<std::string> serve_as;  ///< known in training only: elsewhere every row has this value
};

/// All that turns raw values into the model's inputs: what a bundle stores and serving runs. It does not change once
/// the statistics are in it.
struct FeatureTransforms {
  std::vector<TableTransform> tables;
  std::vector<FeatureTransform> features;
  std::vector<std::string> missing{""};  ///< values that stand for nothing: numbers, labels, lists and ids

  /// Whether there are ids other than the empty one that become it.
  bool empties_ids() const;

  /// Features and tables; labels and the rest are up to who reads them.
  InputSchema schema() const;
};

/// A bundle's `features` entry: everything but the vocabularies' values, which are tensors named
/// "vocab.<table>.bytes" and "vocab.<table>.offsets".
std::string transforms_to_json(const FeatureTransforms& transforms);
/// The vocabularies are left empty. Throws FileError naming the field that is missing, of the wrong type or range.
FeatureTransforms transforms_from_json(const std::string& json);

/// The value of a dense column, from its number, in double.
double apply_steps(const FeatureTransform& feature, size_t column, double x);

}  // namespace mtrank
