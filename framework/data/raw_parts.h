#pragma once

#include <memory>
#include <string>

#include "framework/data/dataset.h"
#include "framework/data/statistics.h"

namespace mtrank {

/// Files, patterns expanded, that are in a part twice, or in two parts without a split between: one text each.
std::vector<std::string> repeated_files(const DatasetSpec& spec);
/// Labels from which nothing can be learned `of` some rows: one text each.
std::vector<std::string> label_problems(const RowSpec& rows, const std::vector<LabelCounts>& counts,
                                        const std::string& of);
/// Of a column without a deviation.
std::string constant_text(const std::string& feature, const std::string& column);

/// The raw files of a config: learns the transforms from the training rows and encodes the rows of any part, from the
/// cache where it has them.
class RawParts {
 public:
  /// Expands the patterns of `spec` and puts what was learned into its transforms; it must outlive this.
  /// Throws ConfigError, DataError.
  RawParts(DatasetSpec& spec, int threads, Dataset::Log log);

  const Statistics& statistics() const { return statistics_; }
  /// From the cache; else read, and kept there, or in memory where there is none.
  std::shared_ptr<const EncodedSet> open(Part part) const;
  /// The same rows to `writer`; they are not kept anywhere else.
  std::shared_ptr<const EncodedSet> write(Part part, EncodedWriter& writer) const;

 private:
  struct Source;
  Source source(Part part) const;
  std::shared_ptr<const EncodedSet> cached(const Source& source) const;
  std::shared_ptr<const EncodedSet> encode(const Source& source, EncodedWriter& writer) const;
  void learn();
  void tell(const std::string& line) const;

  DatasetSpec& spec_;
  const int threads_;
  const Dataset::Log log_;
  Statistics statistics_;
};

/// The rows of one part: its share of the split; the sample is for training alone.
RowSpec rows_of(const DatasetSpec& spec, Part part);
/// Of learned transforms.
std::unique_ptr<RowEncoder> encoder_of(const DatasetSpec& spec, Part part);
/// Tells how many rows were skipped, and which labels the training rows do not teach. Throws DataError when there are
/// no others.
void report_rows(const DatasetSpec& spec, Part part, const EncodedSummary& summary, const Dataset::Log& log);
/// The transforms as a text that tells different vocabularies apart.
std::string transforms_text(const FeatureTransforms& transforms);

}  // namespace mtrank
