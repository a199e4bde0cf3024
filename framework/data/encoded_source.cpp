#include "framework/data/encoded_source.h"

#include <algorithm>
#include <numeric>

#include "framework/core/error.h"
#include "framework/core/philox.h"

namespace mtrank {
namespace {

/// Rows read at a time when the order is that of the file.
constexpr uint64_t kOrderedWindow = 8 << 20;

/// Fisher-Yates, from item `left` down and at most `count` of them; the draws are words of (epoch, index) of the
/// stream.
template <class T>
void permute(std::vector<T>& items, size_t& left, size_t count, const Philox& random, int64_t epoch) {
  for (; left > 1 && count > 0; --left, --count) {
    const PhiloxBlock draw = random(static_cast<uint64_t>(epoch), left);
    std::swap(items[left - 1], items[uniform_below(static_cast<uint32_t>(left), draw[0], draw[1])]);
  }
  if (left == 1) left = 0;
}

template <class T>
void permute(std::vector<T>& items, const Philox& random, int64_t epoch) {
  size_t left = items.size();
  permute(items, left, left, random, epoch);
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

EncodedSource::Order EncodedSource::order_of(int64_t epoch) const {
  Order order;
  order.epoch = epoch;
  order.blocks.resize(set_->blocks());
  std::iota(order.blocks.begin(), order.blocks.end(), size_t{0});
  const bool whole = set_->bytes() <= options_.memory;
  const uint64_t half = whole ? options_.memory : options_.memory / 2;  // beside the window that is read ahead
  const uint64_t budget = options_.shuffle ? half : std::min(half, kOrderedWindow);
  if (options_.shuffle && !whole) permute(order.blocks, Philox(options_.seed, "shuffle", "blocks"), epoch);
  uint64_t bytes = 0;
  for (size_t i = 0; i < order.blocks.size(); ++i) {
    const bool full = bytes + set_->block_bytes(order.blocks[i]) > budget;
    if (order.windows.empty() || (full && order.windows.back().rows > 0)) {  // a block may have lost all of its rows
      order.windows.push_back({i, i, 0});
      bytes = 0;
    }
    bytes += set_->block_bytes(order.blocks[i]);
    order.windows.back().last = i + 1;
    order.windows.back().rows += set_->block_rows(order.blocks[i]);
  }
  return order;
}

/// Makes `loaded` wait for a window, unless it has its blocks already, or `other` does.
void EncodedSource::want(const Order& order, size_t window, Loaded& loaded, const Loaded& other) const {
  const Window& w = order.windows[window];
  const auto blocks = order.blocks.begin();
  const std::vector<size_t> wanted(blocks + static_cast<ptrdiff_t>(w.first), blocks + static_cast<ptrdiff_t>(w.last));
  loaded.epoch = order.epoch;
  loaded.window = window;
  loaded.records.clear();
  loaded.records.reserve(static_cast<size_t>(w.rows));  // a list that grows takes more than it holds
  loaded.listed = 0;
  loaded.unlisted = static_cast<size_t>(w.rows);
  loaded.unordered = options_.shuffle ? loaded.unlisted : 0;
  MTRANK_ASSERT(loaded.unlisted < (uint64_t{1} << 32));
  if (wanted == loaded.wanted) return;
  loaded.wanted = wanted;
  if (wanted == other.wanted) {
    loaded.rows = other.rows;
    return;
  }
  if (loaded.rows == other.rows) loaded.rows = std::make_shared<Rows>();
  loaded.rows->read = 0;
  if (loaded.rows->blocks.size() < wanted.size()) loaded.rows->blocks.resize(wanted.size());
}

/// The window after the current one is wanted: of this epoch, or the first of the next.
void EncodedSource::look_ahead() {
  ahead_.epoch = -1;
  if (current_.window + 1 < order_.windows.size()) return want(order_, current_.window + 1, ahead_, current_);
  if (order_.epoch + 1 >= options_.epochs) return;
  next_order_ = order_of(order_.epoch + 1);
  want(next_order_, 0, ahead_, current_);
}

void EncodedSource::read_block(Loaded& loaded, size_t block) const {
  set_->read(loaded.wanted[block], loaded.rows->blocks[block]);
}

/// What is still to be read and put in order.
void EncodedSource::finish(Loaded& loaded) {
  const size_t from = loaded.rows->read;
  pool_.run(static_cast<int>(loaded.unread()), [&](int i, int) { read_block(loaded, from + static_cast<size_t>(i)); });
  loaded.rows->read = loaded.wanted.size();
  put_in_order(loaded, SIZE_MAX);
}

/// Lists the rows of a window, then permutes them: about `rows` of them.
void EncodedSource::put_in_order(Loaded& loaded, size_t rows) const {
  for (; loaded.unlisted > 0 && rows > 0; ++loaded.listed) {
    const EncodedBlock& block = loaded.rows->blocks[loaded.listed];
    for (size_t r = 0; r < block.rows(); ++r) loaded.records.push_back(block.record(r));
    loaded.unlisted -= block.rows();
    rows -= std::min<size_t>(rows, block.rows());
  }
  if (loaded.unlisted > 0 || loaded.unordered == 0) return;
  const Philox random(options_.seed, "shuffle", std::to_string(loaded.window));
  permute(loaded.records, loaded.unordered, rows, random, loaded.epoch);
}

void EncodedSource::begin_window() {
  finish(current_);
  look_ahead();
  at_ = 0;
}

void EncodedSource::next_window() {
  std::swap(current_, ahead_);
  begin_window();
}

void EncodedSource::seek(int64_t epoch, int64_t sample) {
  const bool goes_on = started_ && sample == 0 && ahead_.epoch == epoch && ahead_.window == 0;
  started_ = true;
  sample_ = std::min(sample, rows());
  if (goes_on) {
    std::swap(order_, next_order_);
    return next_window();
  }
  order_ = order_of(epoch);
  current_.records.clear();
  at_ = 0;
  int64_t before = 0;
  for (size_t w = 0; w < order_.windows.size(); ++w) {
    const int64_t rows = order_.windows[w].rows;
    if (before + rows > sample_) {
      want(order_, w, current_, ahead_);
      begin_window();
      at_ = static_cast<size_t>(sample_ - before);
      return;
    }
    before += rows;
  }
}

/// Puts the next rows of the window into the batch, and reads a share of the next window, then orders a share of it. It
/// is read when two thirds of this one are gone, and in order with the last batch of it.
void EncodedSource::take(size_t rows) {
  builder_.add(current_.records.data() + at_, static_cast<int64_t>(rows));
  const int ranges = builder_.ranges();
  if (!layout_.lists.empty()) pool_.run(ranges, [&](int range, int) { builder_.count(range); });
  builder_.place();
  size_t blocks = 0, orders = 0;
  if (ahead_.epoch >= 0) {
    blocks = std::min(ahead_.unread(), 1 + ahead_.wanted.size() * rows * 3 / 2 / current_.records.size());
    if (ahead_.unread() == 0)
      orders = (ahead_.unlisted + ahead_.unordered) * rows * 3 / 2 / (current_.records.size() - at_) + 1;
  }
  const size_t first = ahead_.rows->read;
  pool_.run(ranges + static_cast<int>(blocks) + int{orders > 0}, [&](int task, int) {
    if (orders > 0 && task-- == 0) return put_in_order(ahead_, orders);
    if (task < ranges) return builder_.fill(task);
    read_block(ahead_, first + static_cast<size_t>(task - ranges));
  });
  ahead_.rows->read += blocks;
  at_ += rows;
}

bool EncodedSource::next(Batch& batch) {
  if (!started_) seek(0, 0);
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
  batch.epoch = order_.epoch;
  batch.first_sample = order_.epoch * rows() + sample_;
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
