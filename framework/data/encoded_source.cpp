#include "framework/data/encoded_source.h"

#include <algorithm>
#include <numeric>

#include "framework/core/error.h"
#include "framework/core/philox.h"

namespace mtrank {
namespace {

/// Rows read at a time when the order is that of the file.
constexpr uint64_t kOrderedWindow = 8 << 20;

/// Fisher-Yates; the draws are words of (epoch, index) of the stream.
template <class T>
void permute(std::vector<T>& items, const Philox& random, int64_t epoch) {
  for (size_t i = items.size(); i > 1; --i) {
    const PhiloxBlock draw = random(static_cast<uint64_t>(epoch), i);
    std::swap(items[i - 1], items[uniform_below(static_cast<uint32_t>(i), draw[0], draw[1])]);
  }
}

}  // namespace

EncodedSource::EncodedSource(std::shared_ptr<const EncodedSet> set, InputSchema schema, RecordLayout layout,
                             SampleCorrection correction, StreamOptions options)
    : set_(std::move(set)),
      schema_(std::move(schema)),
      layout_(std::move(layout)),
      correction_(correction),
      options_(options) {
  MTRANK_ASSERT(options_.batch_size > 0);
}

void EncodedSource::plan_epoch(int64_t epoch) {
  epoch_ = epoch;
  order_.resize(set_->blocks());
  std::iota(order_.begin(), order_.end(), size_t{0});
  const uint64_t budget = options_.shuffle ? options_.memory : std::min(options_.memory, kOrderedWindow);
  if (options_.shuffle && set_->bytes() > budget) permute(order_, Philox(options_.seed, "shuffle", "blocks"), epoch);
  windows_.clear();
  uint64_t bytes = 0;
  for (size_t i = 0; i < order_.size(); ++i) {
    if (windows_.empty() || bytes + set_->block_bytes(order_[i]) > budget) {
      windows_.push_back({i, i, 0});
      bytes = 0;
    }
    bytes += set_->block_bytes(order_[i]);
    windows_.back().last = i + 1;
    windows_.back().rows += set_->block_rows(order_[i]);
  }
  planned_ = true;
}

void EncodedSource::load_window(size_t window) {
  const Window& w = windows_[window];
  const std::vector<size_t> wanted(order_.begin() + static_cast<ptrdiff_t>(w.first),
                                   order_.begin() + static_cast<ptrdiff_t>(w.last));
  if (wanted != loaded_blocks_) {
    loaded_.resize(wanted.size());
    loaded_blocks_.clear();
    for (size_t i = 0; i < wanted.size(); ++i) set_->read(wanted[i], loaded_[i]);
    loaded_blocks_ = wanted;
  }
  records_.clear();
  records_.reserve(static_cast<size_t>(w.rows));
  for (const auto& block : loaded_)
    for (size_t r = 0; r < block.rows(); ++r) records_.push_back(block.record(r));
  MTRANK_ASSERT(records_.size() < (uint64_t{1} << 32));
  if (options_.shuffle) permute(records_, Philox(options_.seed, "shuffle", std::to_string(window)), epoch_);
  next_window_ = window + 1;
  at_ = 0;
}

void EncodedSource::seek(int64_t epoch, int64_t sample) {
  plan_epoch(epoch);
  sample_ = std::min(sample, rows());
  records_.clear();
  at_ = 0;
  int64_t before = 0;
  for (next_window_ = 0; next_window_ < windows_.size(); ++next_window_) {
    const int64_t rows = windows_[next_window_].rows;
    if (before + rows > sample_) {
      load_window(next_window_);
      at_ = static_cast<size_t>(sample_ - before);
      return;
    }
    before += rows;
  }
}

/// The window of the records chosen so far is about to be replaced: goes on with copies of them.
void EncodedSource::keep_pending() {
  std::vector<size_t> starts;
  pending_.clear();
  for (const uint32_t* record : chosen_) {
    starts.push_back(pending_.size());
    pending_.insert(pending_.end(), record, record + layout_.size(record));
  }
  for (size_t i = 0; i < chosen_.size(); ++i) chosen_[i] = pending_.data() + starts[i];
}

bool EncodedSource::next(Batch& batch) {
  if (!planned_) seek(0, 0);
  batch.rows = 0;
  const auto want = static_cast<size_t>(std::min(options_.batch_size, rows() - sample_));
  if (want == 0) return false;
  chosen_.clear();
  while (chosen_.size() < want) {
    if (at_ == records_.size()) {
      const auto pending = std::move(pending_);  // what keep_pending reads from may be the last copies
      pending_ = {};
      keep_pending();
      load_window(next_window_);
    }
    const size_t n = std::min(want - chosen_.size(), records_.size() - at_);
    chosen_.insert(chosen_.end(), records_.begin() + static_cast<ptrdiff_t>(at_),
                   records_.begin() + static_cast<ptrdiff_t>(at_ + n));
    at_ += n;
  }
  build_batch(layout_, correction_, chosen_.data(), static_cast<int64_t>(want), batch);
  batch.epoch = epoch_;
  batch.first_sample = epoch_ * rows() + sample_;
  sample_ += static_cast<int64_t>(want);
  batch.end_of_epoch = sample_ == rows();
  return true;
}

std::string EncodedSource::key_value(int key, uint64_t hash) const {
  const auto& all = set_->summary().names;
  if (key < 0 || static_cast<size_t>(key) >= all.size()) return {};
  const auto found = all[static_cast<size_t>(key)].find(hash);
  return found == all[static_cast<size_t>(key)].end() ? std::string() : found->second;
}

}  // namespace mtrank
