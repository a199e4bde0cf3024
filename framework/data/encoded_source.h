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
  int64_t epochs = 1;                   ///< that are to be given out: reading ahead ends with them
};

/// Batches of an encoded set, in file order or shuffled. Rows that fit in `memory` together are permuted as a whole.
/// Otherwise the blocks are permuted, and taken in windows of as many as fit in half of it; the rows of a window are
/// permuted. While one window is given out, the next one is read, the first one of the next epoch too: a share of it
/// with each batch. So an epoch begins as fast as it goes on, where `seek` is to the beginning of the next one.
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
    size_t first, last;  ///< blocks, positions in Order::blocks
    int64_t rows;
  };
  /// Of an epoch.
  struct Order {
    int64_t epoch = 0;
    std::vector<size_t> blocks;
    std::vector<Window> windows;
  };
  struct Rows {
    std::vector<EncodedBlock> blocks;
    size_t read = 0;  ///< blocks that are there
  };
  /// A window in memory, or on its way there.
  struct Loaded {
    int64_t epoch = -1;  ///< -1: nothing is wanted
    size_t window = 0;
    std::vector<size_t> wanted;                             ///< blocks of the set
    std::shared_ptr<Rows> rows = std::make_shared<Rows>();  ///< shared by windows of the same blocks
    std::vector<const uint32_t*> records;                   ///< in the order they are given out, once that is made
    size_t listed = 0;                                      ///< blocks whose rows are in `records`
    size_t unlisted = 0, unordered = 0;  ///< rows that are not in `records`; rows that are not permuted
    size_t unread() const { return wanted.size() - rows->read; }
  };
  Order order_of(int64_t epoch) const;
  void want(const Order& order, size_t window, Loaded& loaded, const Loaded& other) const;
  void look_ahead();
  void read_block(Loaded& loaded, size_t block) const;
  void finish(Loaded& loaded);
  void put_in_order(Loaded& loaded, size_t rows) const;
  void begin_window();
  void next_window();
  void take(size_t rows);

  std::shared_ptr<const EncodedSet> set_;
  InputSchema schema_;
  RecordLayout layout_;
  SampleCorrection correction_;
  StreamOptions options_;
  ThreadPool pool_;
  BatchBuilder builder_;

  Order order_, next_order_;  ///< of the epoch that is given out; of the next one, where `ahead_` is of it
  Loaded current_, ahead_;
  bool started_ = false;
  size_t at_ = 0;       ///< in current_.records
  int64_t sample_ = 0;  ///< of the epoch: the next to be given out
};

}  // namespace mtrank
