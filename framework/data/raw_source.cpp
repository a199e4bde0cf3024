#include "framework/data/raw_source.h"

#include <algorithm>

#include "framework/data/files.h"
#include "framework/data/value_hash.h"

namespace mtrank {
namespace {

constexpr size_t kReadAhead = 4;  // pieces
constexpr size_t kMostNames = 1 << 16;

}  // namespace

RawSource::RawSource(const std::vector<std::string>& files, ReadOptions read, std::shared_ptr<const RowEncoder> encoder,
                     RawOptions options)
    : files_(expand_files(files)),
      read_(std::move(read)),
      encoder_(std::move(encoder)),
      options_(std::move(options)),
      names_(encoder_->schema().keys.size()) {
  for (const auto& file : files_) stamp_file(file), format_of(file, read_);
  columns_ = encoder_->columns();
  for (const auto& key : encoder_->schema().keys) key_columns_.push_back(place(key));
  for (const auto& name : options_.keep) kept_columns_.push_back(place(name));
  start();
}

/// Where a column stands among those that are read; each is read once, since unquoting changes its bytes.
size_t RawSource::place(const std::string& column) {
  const auto at = std::find(columns_.begin(), columns_.end(), column);
  const auto place = static_cast<size_t>(at - columns_.begin());
  if (at == columns_.end()) columns_.push_back(column);
  return place;
}

RawSource::~RawSource() { stop(); }

void RawSource::start() {
  ended_ = stopping_ = false;
  error_ = nullptr;
  bad_rows_ = 0;
  thread_ = std::thread([this] { read_files(); });
}

void RawSource::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  ready_.clear();
  pieces_.clear();
  used_ = 0;
}

void RawSource::seek(int64_t epoch, int64_t sample) {
  stop();
  start();
  epoch_ = epoch;
  sample_ = 0;
  while (sample_ < sample) {
    const int64_t n = std::min(options_.batch_size, sample - sample_);
    if (!collect(n)) return;
    used_ += static_cast<size_t>(n);
    sample_ += n;
  }
}

void RawSource::read_files() {
  std::exception_ptr error;
  try {
    BadRowPolicy policy(options_.skip_bad_rows, options_.bad_row_cap, {"--skip-bad-rows N", "--skip-bad-rows"});
    std::vector<Piece> pieces(static_cast<size_t>(options_.threads));
    FileScan(files_, read_, columns_)
        .run(
            options_.threads, [&](int worker, ScanBlock& block) { encode(block, pieces[static_cast<size_t>(worker)]); },
            [&](int worker, ScanBlock& block) { return deliver(block, pieces[static_cast<size_t>(worker)], policy); });
  } catch (...) {
    error = std::current_exception();
  }
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
    error_ = error;
  }
  changed_.notify_all();
}

void RawSource::encode(const ScanBlock& block, Piece& piece) const {
  encode_block(*encoder_, block, piece.block, piece.bad, &piece.taken);
  piece.kept.assign(options_.keep.size(), {});
  for (size_t k = 0; k < options_.keep.size(); ++k)
    for (const uint32_t row : piece.taken)
      piece.kept[k].emplace_back(block.table.values[row * block.table.columns + kept_columns_[k]]);
}

bool RawSource::deliver(const ScanBlock& block, Piece& piece, BadRowPolicy& policy) {
  for (const auto& bad : piece.bad) policy.report(block, bad);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || ready_.size() < kReadAhead; });
  if (stopping_) return false;
  bad_rows_ = policy.count();
  collect_names(block, piece);
  if (piece.block.rows() > 0) ready_.push_back(std::move(piece));
  piece = Piece();
  lock.unlock();
  changed_.notify_all();
  return true;
}

void RawSource::collect_names(const ScanBlock& block, const Piece& piece) {
  for (size_t k = 0; k < key_columns_.size(); ++k)
    for (const uint32_t row : piece.taken) {
      if (names_[k].size() > kMostNames) break;
      const auto value = block.table.values[row * block.table.columns + key_columns_[k]];
      names_[k].try_emplace(xxh64_value(value, 0), value);
    }
}

/// Waits until there are that many pieces. False when the stream ends before; throws its error.
bool RawSource::need_piece(size_t pieces) {
  while (pieces_.size() < pieces) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ || !ready_.empty(); });
    if (ready_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return false;
    }
    pieces_.push_back(std::move(ready_.front()));
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
  }
  return true;
}

/// Has pieces_ hold `want` unused rows, or all that are left. False when there is none.
bool RawSource::collect(int64_t want) {
  while (!pieces_.empty() && used_ >= pieces_.front().block.rows()) {
    used_ -= pieces_.front().block.rows();
    pieces_.pop_front();
  }
  int64_t have = -static_cast<int64_t>(used_);
  for (size_t p = 0; have < want && need_piece(p + 1); ++p) have += pieces_[p].block.rows();
  return have > 0;
}

bool RawSource::next(Batch& batch) {
  batch.rows = 0;
  if (!collect(options_.batch_size)) return false;
  std::vector<const uint32_t*> records;
  batch.kept.assign(options_.keep.size(), {});
  size_t row = used_;
  for (const Piece& piece : pieces_) {
    for (; row < piece.block.rows() && static_cast<int64_t>(records.size()) < options_.batch_size; ++row) {
      records.push_back(piece.block.record(row));
      for (size_t k = 0; k < batch.kept.size(); ++k) batch.kept[k].push_back(piece.kept[k][row]);
    }
    row = 0;
  }
  const auto n = static_cast<int64_t>(records.size());
  build_batch(encoder_->layout(), encoder_->correction(), records.data(), n, batch);
  batch.epoch = epoch_;
  batch.first_sample = sample_;
  used_ += static_cast<size_t>(n);
  sample_ += n;
  return true;
}

std::string RawSource::key_value(int key, uint64_t hash) const {
  std::lock_guard lock(mutex_);
  if (key < 0 || static_cast<size_t>(key) >= names_.size()) return {};
  const auto& names = names_[static_cast<size_t>(key)];
  const auto found = names.find(hash);
  return found == names.end() ? std::string() : found->second;
}

int64_t RawSource::bad_rows() const {
  std::lock_guard lock(mutex_);
  return bad_rows_;
}

}  // namespace mtrank
