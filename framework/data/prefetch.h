#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "framework/data/batch.h"

namespace mtrank {

/// Reads ahead of its consumer on a thread of its own, up to `depth` batches. The stream is that of the wrapped
/// source; an error it throws comes out of `next` at its place in the stream.
class PrefetchSource : public BatchSource {
 public:
  PrefetchSource(std::unique_ptr<BatchSource> source, int depth = 3);
  ~PrefetchSource() override;

  const InputSchema& schema() const override { return source_->schema(); }
  int64_t rows() const override { return source_->rows(); }
  /// Waits for the batch that is being read. The seek is done ahead as well: its error comes out of `next`.
  void seek(int64_t epoch, int64_t sample) override;
  /// Swaps `batch` with the oldest batch read; its memory is used again.
  bool next(Batch& batch) override;
  std::string key_value(int key, uint64_t hash) const override { return source_->key_value(key, hash); }

  /// Wall time that `next` has spent waiting for data so far.
  double seconds_waited() const { return seconds_waited_; }

 private:
  struct Place {
    int64_t epoch, sample;
  };
  void start(std::optional<Place> from);
  void stop();
  void run(std::optional<Place> from);

  std::unique_ptr<BatchSource> source_;
  const size_t depth_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_, spare_;
  bool stopping_ = false;
  bool ended_ = false;
  std::exception_ptr error_;
  double seconds_waited_ = 0;
};

}  // namespace mtrank
