#include "framework/data/prefetch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "framework/core/error.h"

namespace mtrank {
namespace {

/// `batches` batches an epoch; `weight` of batch b in epoch e is {e, b}. Fails at batch `bad`.
class Counting : public BatchSource {
 public:
  explicit Counting(int64_t batches, int64_t bad = -1) : batches_(batches), bad_(bad) {}
  const InputSchema& schema() const override { return schema_; }
  int64_t rows() const override { return batches_ * 2; }
  void seek(int64_t epoch, int64_t sample) override { epoch_ = epoch, batch_ = sample / 2; }
  bool next(Batch& batch) override {
    batch.rows = 0;
    if (batch_ == bad_) throw DataError("bad batch");
    if (batch_ >= batches_) return false;
    batch.rows = 2;
    batch.weight = {static_cast<float>(epoch_), static_cast<float>(batch_++)};
    return true;
  }

 private:
  InputSchema schema_;
  int64_t batches_, bad_, epoch_ = 0, batch_ = 0;
};

TEST(Prefetch, DeliversTheStreamInOrderAndEnds) {
  PrefetchSource source(std::make_unique<Counting>(50), 3);
  Batch batch;
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (int b = 0; b < 50; ++b) {
      ASSERT_TRUE(source.next(batch));
      EXPECT_EQ(batch.weight, (std::vector<float>{static_cast<float>(epoch), static_cast<float>(b)}));
    }
    EXPECT_FALSE(source.next(batch));
    EXPECT_FALSE(source.next(batch));
    EXPECT_EQ(batch.rows, 0);
    source.seek(epoch + 1, 0);
  }
}

TEST(Prefetch, SeekDropsWhatWasReadAhead) {
  PrefetchSource source(std::make_unique<Counting>(50), 3);
  Batch batch;
  ASSERT_TRUE(source.next(batch));
  source.seek(7, 20);
  ASSERT_TRUE(source.next(batch));
  EXPECT_EQ(batch.weight, (std::vector<float>{7, 10}));
}

TEST(Prefetch, AnErrorComesOutAtItsPlaceInTheStream) {
  PrefetchSource source(std::make_unique<Counting>(50, 5), 3);
  Batch batch;
  for (int b = 0; b < 5; ++b) ASSERT_TRUE(source.next(batch));
  EXPECT_THROW(source.next(batch), DataError);
  EXPECT_THROW(source.next(batch), DataError);
}

/// Its seeks wait until `may_seek`, then fail.
class SlowSeek : public Counting {
 public:
  explicit SlowSeek(std::shared_future<void> may_seek) : Counting(5), may_seek_(std::move(may_seek)) {}
  void seek(int64_t, int64_t) override {
    may_seek_.wait();
    throw DataError("bad window");
  }

 private:
  std::shared_future<void> may_seek_;
};

TEST(Prefetch, ASeekIsDoneAheadAndItsErrorComesOutOfNext) {
  std::promise<void> may_seek;
  PrefetchSource source(std::make_unique<SlowSeek>(may_seek.get_future().share()), 2);
  source.seek(1, 0);
  may_seek.set_value();  // not before the seek has returned
  Batch batch;
  EXPECT_THROW(source.next(batch), DataError);
}

TEST(Prefetch, CountsTheTimeThatItsConsumerWaits) {
  /// Its first batch takes a while; it tells when it is asked for the third, so that the second has been read.
  class Slow : public Counting {
   public:
    explicit Slow(std::promise<void>& third) : Counting(9), third_(third) {}
    bool next(Batch& batch) override {
      if (++asked_ == 1) std::this_thread::sleep_for(std::chrono::milliseconds(200));
      if (asked_ == 3) third_.set_value();
      return Counting::next(batch);
    }

   private:
    std::promise<void>& third_;
    int asked_ = 0;
  };
  std::promise<void> third;
  PrefetchSource source(std::make_unique<Slow>(third));
  EXPECT_EQ(source.seconds_waited(), 0);
  Batch batch;
  ASSERT_TRUE(source.next(batch));
  const double waited = source.seconds_waited();
  EXPECT_GT(waited, 0);
  third.get_future().wait();
  ASSERT_TRUE(source.next(batch));
  EXPECT_EQ(source.seconds_waited(), waited);
}

TEST(Prefetch, CanBeDestroyedAtAnyMoment) {
  for (int reads = 0; reads < 8; ++reads) {
    PrefetchSource source(std::make_unique<Counting>(5), 2);
    Batch batch;
    for (int i = 0; i < reads; ++i) source.next(batch);
  }
}

}  // namespace
}  // namespace mtrank
