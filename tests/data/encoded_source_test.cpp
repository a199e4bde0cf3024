#include "framework/data/encoded_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "framework/data/raw_parts.h"
#include "tests/data/data_testing.h"

/// The order of rows, and what is read ahead of them.
namespace mtrank {
namespace {

using namespace data_testing;

class EncodedSourceTest : public ::testing::Test {
 protected:
  TempDir folder_;
  std::string train_ = folder_.write("train.csv", log_text(3000, 1));
  Dataset open(const DatasetSpec& spec) { return Dataset(spec, 2); }
};

TEST_F(EncodedSourceTest, AnEpochIsAPermutationAndAFunctionOfSeedAndEpoch) {
  const Dataset set = open(log_spec(train_, ""));
  const auto total = uint64_t{3000} * 60;
  for (const uint64_t memory : {uint64_t{1} << 30, total / 4, uint64_t{1}}) {
    const StreamOptions options{.batch_size = 128, .shuffle = true, .seed = 3, .memory = memory};
    auto source = set.train(options);
    const auto first = order_of(*source, 0), second = order_of(*source, 1);
    EXPECT_NE(first, second);
    EXPECT_EQ(order_of(*source, 0), first);
    auto other_seed = options;
    other_seed.seed = 4;
    EXPECT_NE(order_of(*set.train(other_seed), 0), first);
    auto sorted = first;
    std::sort(sorted.begin(), sorted.end());
    for (int i = 0; i < 3000; ++i) ASSERT_EQ(sorted[static_cast<size_t>(i)], i);
    EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
  }
  EXPECT_TRUE(std::ranges::is_sorted(order_of(*set.train({.batch_size = 128}), 5)));
}

TEST_F(EncodedSourceTest, ReadingAheadChangesNoBit) {
  const Dataset set = open(log_spec(train_, ""));
  const auto total = static_cast<uint64_t>(set.size(Part::train).bytes);
  for (const bool shuffle : {true, false})
    for (const uint64_t memory : {total, total - 1, total / 3, total / 20, uint64_t{1}}) {
      StreamOptions options{.batch_size = 128, .shuffle = shuffle, .seed = 3, .memory = memory};
      const auto expected = rows_of(*set.train(options), 2);
      EXPECT_EQ(expected.size(), 6000u);
      for (const int threads : {1, 2, 5})
        for (const int64_t batch : {1, 77, 1000, 3000, 4000})
          for (const int64_t epochs : {1, 2}) {  // with and without the next epoch's first window
            options.threads = threads;
            options.batch_size = batch;
            options.epochs = epochs;
            EXPECT_EQ(rows_of(*set.train(options), 2), expected) << memory << " " << threads << " " << batch;
          }
    }
}

TEST_F(EncodedSourceTest, ReadingAheadGoesWhereASeekGoes) {
  const Dataset set = open(log_spec(train_, ""));
  const auto total = static_cast<uint64_t>(set.size(Part::train).bytes);
  std::mt19937 random(7);
  for (const uint64_t memory : {total, total / 2, total / 5}) {
    StreamOptions options{.batch_size = 400, .shuffle = true, .seed = 3, .memory = memory};
    std::vector<std::vector<int>> expected;
    for (int epoch = 0; epoch < 4; ++epoch) expected.push_back(order_of(*set.train(options), epoch));
    options.epochs = 3;  // of four: one may also go beyond them
    const auto source = set.train(options);
    for (int i = 0; i < 60; ++i) {
      const size_t epoch = random() % 4, at = random() % 3 == 0 ? 0 : random() % 3000;
      source->seek(static_cast<int64_t>(epoch), static_cast<int64_t>(at));
      std::vector<int> order;
      Batch b;
      for (size_t n = random() % 9; n > 0 && source->next(b); --n)
        for (const float value : b.dense[1]) order.push_back(static_cast<int>(value));
      const auto from = expected[epoch].begin() + static_cast<ptrdiff_t>(at);
      ASSERT_EQ(order, std::vector<int>(from, from + static_cast<ptrdiff_t>(order.size()))) << i;
    }
  }
}

/// A set that notes which of its blocks are read.
class WatchedSet : public EncodedSet {
 public:
  WatchedSet(std::shared_ptr<const EncodedSet> set, std::vector<size_t>& read) : set_(std::move(set)), read_(read) {
    summary_ = set_->summary();
    for (size_t b = 0; b < set_->blocks(); ++b) {
      rows_.push_back(set_->block_rows(b));
      bytes_.push_back(set_->block_bytes(b));
    }
  }
  void read(size_t block, EncodedBlock& out) const override {
    read_.push_back(block);
    set_->read(block, out);
  }

 private:
  std::shared_ptr<const EncodedSet> set_;
  std::vector<size_t>& read_;
};

/// A set with two blocks that have no rows before each of its own, and behind the last.
class GappedSet : public EncodedSet {
 public:
  explicit GappedSet(std::shared_ptr<const EncodedSet> set) : set_(std::move(set)) {
    summary_ = set_->summary();
    rows_.resize(3 * set_->blocks() + 2);
    bytes_.resize(rows_.size());
    for (size_t b = 0; b < set_->blocks(); ++b) {
      rows_[3 * b + 2] = set_->block_rows(b);
      bytes_[3 * b + 2] = set_->block_bytes(b);
    }
  }
  void read(size_t block, EncodedBlock& out) const override {
    if (rows_[block] == 0) return out.clear();
    set_->read(block / 3, out);
  }

 private:
  std::shared_ptr<const EncodedSet> set_;
};

TEST_F(EncodedSourceTest, BlocksWithoutRowsLeaveNoGap) {
  auto spec = log_spec(train_, "");
  const RawParts raw(spec, 1, {});  // learns the transforms
  const auto encoder = encoder_of(spec, Part::train);
  const auto rows = raw.open(Part::train);
  for (const uint64_t memory : {uint64_t{1}, rows->bytes() / 3, rows->bytes()}) {
    for (const bool shuffle : {false, true}) {
      EncodedSource source(
          std::make_shared<GappedSet>(rows), encoder->schema(), encoder->layout(), encoder->correction(),
          {.batch_size = 100, .shuffle = shuffle, .seed = 1, .memory = memory, .threads = 2, .epochs = 3});
      for (int64_t epoch = 0; epoch < 3; ++epoch) {
        auto order = order_of(source, epoch);
        if (shuffle) std::sort(order.begin(), order.end());
        ASSERT_EQ(order.size(), 3000u);
        for (int i = 0; i < 3000; ++i) ASSERT_EQ(order[static_cast<size_t>(i)], i) << memory << " " << epoch;
      }
    }
  }
}

TEST_F(EncodedSourceTest, AWindowTakesNoMoreThanHalfOfTheMemory) {
  auto spec = log_spec(train_, "");
  const RawParts raw(spec, 1, {});  // learns the transforms
  const auto encoder = encoder_of(spec, Part::train);
  const auto rows = raw.open(Part::train);
  ASSERT_GE(rows->blocks(), 20u);
  for (const uint64_t parts : {2, 3, 5}) {
    const uint64_t memory = rows->bytes() / parts;
    std::vector<size_t> read;
    EncodedSource source(std::make_shared<WatchedSet>(rows, read), encoder->schema(), encoder->layout(),
                         encoder->correction(), {.batch_size = 100, .shuffle = true, .seed = 1, .memory = memory});
    source.seek(0, 0);
    uint64_t bytes = 0, most = 0;
    for (const size_t block : read) bytes += rows->block_bytes(block);
    for (size_t b = 0; b < rows->blocks(); ++b) most = std::max(most, rows->block_bytes(b));
    EXPECT_LE(bytes, memory / 2);
    EXPECT_GT(bytes + most, memory / 2) << "and no fewer blocks than that holds";
  }
}

TEST_F(EncodedSourceTest, TheNextEpochsFirstWindowIsReadWhileTheLastOneIsGivenOut) {
  auto spec = log_spec(train_, "");
  const RawParts raw(spec, 1, {});  // learns the transforms
  const auto encoder = encoder_of(spec, Part::train);
  const auto rows = raw.open(Part::train);
  for (const uint64_t memory : {rows->bytes() / 2, rows->bytes()}) {
    std::vector<size_t> read;
    EncodedSource source(std::make_shared<WatchedSet>(rows, read), encoder->schema(), encoder->layout(),
                         encoder->correction(),
                         {.batch_size = 100, .shuffle = true, .seed = 1, .memory = memory, .epochs = 2});
    Batch batch;
    while (source.next(batch)) {
    }
    const size_t before = read.size();
    source.seek(1, 0);
    EXPECT_EQ(read.size(), before) << "a seek had to read";
    if (memory == rows->bytes()) {
      EXPECT_EQ(before, rows->blocks());  // they stay
    }
    while (source.next(batch)) {
    }
    EXPECT_LE(read.size(), 2 * rows->blocks());  // nothing is read for an epoch that does not come
  }
}

TEST_F(EncodedSourceTest, EveryPairOfRowsCanMeetInAFullShuffle) {
  const Dataset set = open(log_spec(folder_.write("small.csv", log_text(4, 1)), ""));
  auto source = set.train({.batch_size = 4, .shuffle = true, .seed = 1});
  std::map<std::vector<int>, int> seen;
  for (int epoch = 0; epoch < 2400; ++epoch) ++seen[order_of(*source, epoch)];
  EXPECT_EQ(seen.size(), 24u);
  for (const auto& [order, count] : seen) EXPECT_NEAR(count, 100, 45);  // 4.5 standard deviations
}

TEST_F(EncodedSourceTest, SeekGoesToAnySample) {
  const Dataset set = open(log_spec(train_, ""));
  for (const uint64_t memory : {uint64_t{1} << 30, uint64_t{20000}}) {
    const StreamOptions options{.batch_size = 128, .shuffle = true, .seed = 3, .memory = memory};
    const auto whole = order_of(*set.train(options), 2);
    for (const int64_t at : {0, 1, 127, 128, 1000, 2999, 3000}) {
      auto source = set.train(options);
      source->seek(2, at);
      Batch b;
      const bool more = source->next(b);
      EXPECT_EQ(more, at < 3000);
      if (!more) continue;
      EXPECT_EQ(b.first_sample, 2 * 3000 + at);
      EXPECT_EQ(b.rows, std::min<int64_t>(128, 3000 - at));
      EXPECT_EQ(b.end_of_epoch, at + b.rows == 3000);
      for (size_t r = 0; r < static_cast<size_t>(b.rows); ++r)
        EXPECT_EQ(static_cast<int>(b.dense[1][r]), whole[static_cast<size_t>(at) + r]);
    }
  }
}

}  // namespace
}  // namespace mtrank
