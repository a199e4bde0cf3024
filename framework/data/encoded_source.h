#pragma once

#include <memory>
#include <string>
#include <vector>

#include "framework/data/encoded_set.h"

namespace mtrank {

struct StreamOptions {
  int64_t batch_size = 2048;
  bool shuffle = false;                 ///< false: file order
  uint64_t seed = 0;                    ///< of the shuffle
  uint64_t memory = uint64_t{1} << 30;  ///< for encoded rows
};

/// Batches of an encoded set, in file order or shuffled. Rows that fit in `memory` together are permuted as a whole.
/// Otherwise the blocks are permuted, and taken in windows of as many as fit; the rows of a window are permuted.
/// The order is a function of (seed, epoch, memory, the set).
class EncodedSource : public BatchSource {
 public:
  EncodedSource(std::shared_ptr<const EncodedSet> set, InputSchema schema, RecordLayout layout,
                SampleCorrection correction, StreamOptions options);

  const InputSchema& schema() const override { return schema_; }
  int64_t rows() const override { return set_->summary().rows; }
  void seek(int64_t epoch, int64_t sample) override;
  bool next(Batch& batch) override;
  std::string key_value(int key, uint64_t hash) const override;

 private:
  struct Window {
    size_t first, last;  ///< blocks, positions in order_
    int64_t rows;
  };
  void plan_epoch(int64_t epoch);
  void load_window(size_t window);
  void keep_pending();

  std::shared_ptr<const EncodedSet> set_;
  InputSchema schema_;
  RecordLayout layout_;
  SampleCorrection correction_;
  StreamOptions options_;

  int64_t epoch_ = 0;
  std::vector<size_t> order_;  ///< of blocks in this epoch
  std::vector<Window> windows_;
  bool planned_ = false;

  size_t next_window_ = 0;
  std::vector<EncodedBlock> loaded_;
  std::vector<size_t> loaded_blocks_;     ///< which blocks those are
  std::vector<const uint32_t*> records_;  ///< of the current window, in order
  size_t at_ = 0;                         ///< in records_
  int64_t sample_ = 0;                    ///< of the epoch: the next to be given out
  std::vector<const uint32_t*> chosen_;   ///< of the batch being made
  std::vector<uint32_t> pending_;         ///< copies of records whose window is gone
};

}  // namespace mtrank
