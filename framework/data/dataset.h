#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "framework/data/encode.h"
#include "framework/data/encoded_source.h"
#include "framework/data/transforms.h"

namespace mtrank {

struct Config;

enum class Part : uint8_t { train, valid, test };
const char* part_name(Part part);

/// Where the data is and what to make of it, free of the config's own types.
struct DatasetSpec {
  struct PartFiles {
    std::vector<std::string> files;  ///< paths and patterns; none: there is no such part
    SplitSpec split;
  };
  std::array<PartFiles, 3> parts;  ///< by Part
  ReadOptions read;
  FeatureTransforms transforms;  ///< nothing learned yet
  RowSpec rows;
  bool skip_bad_rows = false;
  int64_t bad_row_cap = 0;
  std::string cache_folder;  ///< empty: no cache
  std::string mtb;           ///< a directory of `mtrank convert` to read instead of the files; empty: none
};

/// Throws ConfigError.
DatasetSpec dataset_spec(const Config& config);
/// Of training rows: batches, shuffle and epochs of a config.
StreamOptions stream_options(const Config& config, int threads);

/// What the encoded rows of a part take.
struct EncodedSize {
  int64_t bytes = 0;
  bool in_memory = false;  ///< all of them all the time: there is no cache
};

/// Training, validation and test rows of a config: learned transforms and encoded rows. Opening it reads what the cache
/// does not have: first the statistics of the training rows, then every part once. Converted files hold all of that;
/// they give the same rows in the same order, bit for bit.
class Dataset {
 public:
  using Log = std::function<void(const std::string& line)>;

  /// `threads` changes nothing but the time. `log` is told what is read, what is wrong with the cache, and how many
  /// bad rows were skipped. Throws DataError, ResourceError; FileError for damaged converted files.
  Dataset(DatasetSpec spec, int threads, const Log& log = {});

  bool has(Part part) const { return sets_[index(part)] != nullptr; }
  /// The transforms with their vocabularies, means and deviations: what a bundle takes.
  const FeatureTransforms& transforms() const { return spec_.transforms; }
  const InputSchema& schema() const { return schema_; }
  const EncodedSummary& summary(Part part) const { return set(part).summary(); }
  EncodedSize size(Part part) const { return {static_cast<int64_t>(set(part).bytes()), set(part).in_memory()}; }
  /// Bytes that learning the transforms took, at most; 0 where nothing had to be read for it.
  int64_t learning_bytes() const { return learning_bytes_; }
  /// Tells different rows of a part apart: of the encoded rows and the transforms, not of paths or times. As the
  /// transforms are learned from the training rows, other ones give other fingerprints to every part.
  uint64_t fingerprint(Part part) const;

  /// Reads every row, so that damage shows. Throws FileError.
  void verify(int threads) const;

  /// The first training rows as they stand in the raw files; see first_rows(). `count` is at most kFirstRows.
  std::vector<std::vector<std::string>> first_rows(size_t count) const;
  static constexpr size_t kFirstRows = 32;

  /// Training rows, shuffled unless `options.shuffle` is false. Wrap it in a PrefetchSource.
  std::unique_ptr<BatchSource> train(StreamOptions options) const;
  /// All rows of a part in file order, as they are scored: no sample, `train_only` features constant.
  std::unique_ptr<BatchSource> eval(Part part, int64_t batch_size, int threads = 1) const;

 private:
  static size_t index(Part part) { return static_cast<size_t>(part); }
  const EncodedSet& set(Part part) const;
  void open_raw(int threads, const Log& log);
  void open_converted(const Log& log);

  DatasetSpec spec_;
  int64_t learning_bytes_ = 0;
  InputSchema schema_;
  std::array<std::shared_ptr<const EncodedSet>, 3> sets_;
  std::array<RecordLayout, 3> layouts_;
  std::array<SampleCorrection, 3> corrections_;
  std::vector<std::vector<std::string>> first_rows_;  ///< of converted files
};

}  // namespace mtrank
