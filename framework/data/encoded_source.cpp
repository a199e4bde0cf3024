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
      options_(options),
      pool_(options.threads),
      builder_(layout_, correction_) {
  MTRANK_ASSERT(options_.batch_size > 0);
}

void EncodedSource::plan_epoch(int64_t epoch) {
  epoch_ = epoch;
  order_.resize(set_->blocks());
  std::iota(order_.begin(), order_.end(), size_t{0});
  const bool whole = set_->bytes() <= options_.memory;
  const uint64_t half = whole ? options_.memory : options_.memory / 2;  // beside the window that is read ahead
  const uint64_t budget = options_.shuffle ? half : std::min(half, kOrderedWindow);
  if (options_.shuffle && !whole) permute(order_, Philox(options_.seed, "shuffle", "blocks"), epoch);
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

/// Makes `loaded` wait for a window, unless it has it already.
void EncodedSource::want(size_t window, Loaded& loaded) const {
  const Window& w = windows_[window];
  const std::vector<size_t> wanted(order_.begin() + static_cast<ptrdiff_t>(w.first),
                                   order_.begin() + static_cast<ptrdiff_t>(w.last));
  loaded.records.clear();
  if (wanted == loaded.wanted) return;
  loaded.wanted = wanted;
  loaded.read = 0;
  if (loaded.blocks.size() < wanted.size()) loaded.blocks.resize(wanted.size());
}

void EncodedSource::read_block(Loaded& loaded, size_t block) const {
  set_->read(loaded.wanted[block], loaded.blocks[block]);
}

/// What is still to be read and put in order.
void EncodedSource::finish(size_t window, Loaded& loaded) {
  const size_t from = loaded.read;
  pool_.run(static_cast<int>(loaded.wanted.size() - from),
            [&](int i, int) { read_block(loaded, from + static_cast<size_t>(i)); });
  loaded.read = loaded.wanted.size();
  if (loaded.records.empty()) put_in_order(window, loaded);
}

void EncodedSource::put_in_order(size_t window, Loaded& loaded) const {
  loaded.records.reserve(static_cast<size_t>(windows_[window].rows));
  for (size_t b = 0; b < loaded.wanted.size(); ++b)
    for (size_t r = 0; r < loaded.blocks[b].rows(); ++r) loaded.records.push_back(loaded.blocks[b].record(r));
  MTRANK_ASSERT(loaded.records.size() < (uint64_t{1} << 32));
  if (options_.shuffle) permute(loaded.records, Philox(options_.seed, "shuffle", std::to_string(window)), epoch_);
}

void EncodedSource::open_window(size_t window) {
  window_ = window;
  want(window, current_);
  finish(window, current_);
  if (window + 1 < windows_.size()) want(window + 1, ahead_);
  at_ = 0;
}

void EncodedSource::next_window() {
  std::swap(current_, ahead_);
  finish(++window_, current_);
  if (window_ + 1 < windows_.size()) want(window_ + 1, ahead_);
  at_ = 0;
}

void EncodedSource::seek(int64_t epoch, int64_t sample) {
  plan_epoch(epoch);
  sample_ = std::min(sample, rows());
  current_.records.clear();
  at_ = 0;
  int64_t before = 0;
  for (size_t w = 0; w < windows_.size(); ++w) {
    const int64_t rows = windows_[w].rows;
    if (before + rows > sample_) {
      open_window(w);
      at_ = static_cast<size_t>(sample_ - before);
      return;
    }
    before += rows;
  }
}

/// Puts the next rows of the window into the batch, and reads a share of the next window. It is there, and in order,
/// before three quarters of this one are gone.
void EncodedSource::take(size_t rows) {
  builder_.add(current_.records.data() + at_, static_cast<int64_t>(rows));
  const int ranges = builder_.ranges();
  if (!layout_.lists.empty()) pool_.run(ranges, [&](int range, int) { builder_.count(range); });
  builder_.place();
  size_t blocks = 0;
  bool order = false;
  if (window_ + 1 < windows_.size()) {
    const size_t left = ahead_.wanted.size() - ahead_.read;
    blocks = std::min(left, 1 + ahead_.wanted.size() * rows * 3 / 2 / current_.records.size());
    order = left == 0 && ahead_.records.empty();
  }
  const size_t first = ahead_.read;
  pool_.run(ranges + static_cast<int>(blocks) + int{order}, [&](int task, int) {
    if (order && task-- == 0) return put_in_order(window_ + 1, ahead_);
    if (task < ranges) return builder_.fill(task);
    read_block(ahead_, first + static_cast<size_t>(task - ranges));
  });
  ahead_.read += blocks;
  at_ += rows;
}

bool EncodedSource::next(Batch& batch) {
  if (!planned_) seek(0, 0);
  batch.rows = 0;
  const int64_t want = std::min(options_.batch_size, rows() - sample_);
  if (want == 0) return false;
  builder_.begin(want, batch);
  for (auto left = static_cast<size_t>(want); left > 0;) {
    if (at_ == current_.records.size()) next_window();
    const size_t n = std::min(left, current_.records.size() - at_);
    take(n);
    left -= n;
  }
  batch.epoch = epoch_;
  batch.first_sample = epoch_ * rows() + sample_;
  sample_ += want;
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
