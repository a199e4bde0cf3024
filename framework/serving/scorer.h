#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/core/thread_pool.h"
#include "framework/data/reader.h"
#include "framework/data/row_encoder.h"
#include "framework/serving/bundle.h"
#include "framework/serving/forward.h"

namespace mtrank {

/// A bundle, ready to score: the same transforms and kernels as in training, so the same bits for the same rows,
/// whatever the batch and the number of threads.
class Scorer {
 public:
  /// Scores the bundle's golden rows and throws FileError when a bit differs, or when the bundle's parts do not fit
  /// together.
  explicit Scorer(Bundle bundle, int threads = 1);

  const Bundle& bundle() const { return bundle_; }
  const FeatureTransforms& transforms() const { return transforms_; }
  /// How the files were written that the model was trained on.
  const ReadOptions& read_options() const { return read_options_; }
  Forward& forward() { return *forward_; }
  ThreadPool& pool() { return pool_; }

  /// The columns a row needs, in the order `score_rows` takes them.
  const std::vector<std::string>& columns() const { return encoder_->columns(); }
  const std::shared_ptr<const RowEncoder>& encoder() const { return encoder_; }
  /// Names of the scores, in order.
  const std::vector<std::string>& outputs() const { return outputs_; }

  /// scores [outputs][rows of the batch]. Not thread-safe.
  void score(const Batch& batch, std::vector<std::vector<float>>& scores);
  /// `values` [rows, columns()], any text. Returns [rows, outputs()]. Thread-safe: calls wait for each other.
  /// Throws DataError naming row and column of a value that is none.
  std::vector<float> score_rows(std::span<const std::string_view> values);

 private:
  void check_features() const;
  void check_lookup(const Value& embedding, const Value& ids) const;
  void make_forward(int threads);
  void check_golden();

  Bundle bundle_;
  FeatureTransforms transforms_;
  ReadOptions read_options_;
  std::shared_ptr<const RowEncoder> encoder_;
  Graph graph_;
  ThreadPool pool_;
  std::unique_ptr<Forward> forward_;
  std::vector<std::string> outputs_;
  std::vector<size_t> output_positions_;  // among the graph's outputs
  std::vector<std::vector<float>> scratch_;
  std::mutex mutex_;
};

/// A bundle's `input` entry.
std::string input_to_json(const ReadOptions& options, const std::vector<std::string>& columns);
/// Throws FileError naming the field.
ReadOptions input_from_json(const std::string& json);

}  // namespace mtrank
