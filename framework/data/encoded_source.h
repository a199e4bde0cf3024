#pragma once

#include <memory>
#include <string>
#include <vector>

#include "framework/core/thread_pool.h"
#include "framework/data/encoded_set.h"

namespace mtrank {

struct StreamOptions {
  int64_t batch_size = 2048;
  bool shuffle = false;                 ///< false: file order
  uint64_t seed = 0;                    ///< of the shuffle
  uint64_t memory = uint64_t{1} << 30;  ///< for encoded rows
  int threads = 1;                      ///< that read ahead and fill batches; changes nothing but the time
};

/// Batches of an encoded set, in file order or shuffled. Rows that fit in `memory` together are permuted as a whole.
/// Otherwise the blocks are permuted, and taken in windows of as many as fit in half of it; the rows of a window are
/// permuted. While one window is given out, the next one is read: a share of it with each batch.
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
  /// A window in memory, or on its way there.
  struct Loaded {
    std::vector<size_t> wanted;  ///< blocks of the set
    std::vector<EncodedBlock> blocks;
    size_t read = 0;                       ///< blocks that are there
    std::vector<const uint32_t*> records;  ///< in the order they are given out; empty until they are all there
  };
  void plan_epoch(int64_t epoch);
  void want(size_t window, Loaded& loaded) const;
  void read_block(Loaded& loaded, size_t block) const;
  void finish(size_t window, Loaded& loaded);
  void put_in_order(size_t window, Loaded& loaded) const;
  void open_window(size_t window);
  void next_window();
  void take(size_t rows);

  std::shared_ptr<const EncodedSet> set_;
  InputSchema schema_;
  RecordLayout layout_;
  SampleCorrection correction_;
  StreamOptions options_;
  ThreadPool pool_;
  BatchBuilder builder_;

  int64_t epoch_ = 0;
  std::vector<size_t> order_;  ///< of blocks in this epoch
  std::vector<Window> windows_;
  bool planned_ = false;

  size_t window_ = 0;  ///< that `current_` is of; `ahead_` is of the one after it
  Loaded current_, ahead_;
  size_t at_ = 0;       ///< in current_.records
  int64_t sample_ = 0;  ///< of the epoch: the next to be given out
};

}  // namespace mtrank
