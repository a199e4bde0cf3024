#include "framework/data/encode.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "framework/data/value_hash.h"

namespace mtrank {
namespace {

/// Columns with more distinct values than this are no segments: their names are not kept.
constexpr size_t kMostNames = 1 << 16;

using Names = std::unordered_map<uint64_t, std::string>;

class Encoder {
 public:
  Encoder(const RowEncoder& rows, BadRowPolicy policy, int threads, EncodedWriter& writer)
      : rows_(rows), policy_(std::move(policy)), writer_(writer), workers_(static_cast<size_t>(threads)) {
    summary_.labels.resize(rows.schema().labels.size());
    summary_.conditions.resize(rows.schema().conditions.size());
    summary_.names.resize(rows.schema().keys.size());
    for (const auto& key : rows.schema().keys)
      key_columns_.push_back(
          static_cast<size_t>(std::find(rows.columns().begin(), rows.columns().end(), key) - rows.columns().begin()));
    for (auto& worker : workers_) worker.names.resize(key_columns_.size());
  }

  void work(int worker, const ScanBlock& block) {
    Worker& w = workers_[static_cast<size_t>(worker)];
    encode_block(rows_, block, w.block, w.bad);
    collect_names(block, w);
  }

  void deliver(int worker, const ScanBlock& block) {
    Worker& w = workers_[static_cast<size_t>(worker)];
    for (const auto& bad : w.bad) policy_.report(block, bad);
    if (w.block.rows() == 0) return;
    count_rows(rows_.layout(), w.block, summary_);
    writer_.add(w.block);
  }

  std::shared_ptr<const EncodedSet> finish() {
    summary_.bad_rows = policy_.count();
    summary_.first_bad_row = policy_.first();
    for (size_t k = 0; k < key_columns_.size(); ++k) {
      auto& names = summary_.names[k];
      for (auto& worker : workers_) names.insert(worker.names[k].begin(), worker.names[k].end());
      if (names.size() > kMostNames) names.clear();
    }
    return writer_.finish(std::move(summary_));
  }

 private:
  struct Worker {
    EncodedBlock block;
    std::vector<BadRow> bad;
    std::vector<Names> names;
  };

  void collect_names(const ScanBlock& block, Worker& w) {
    const size_t columns = rows_.columns().size();
    for (size_t k = 0; k < key_columns_.size(); ++k)
      for (size_t r = 0; r < block.table.rows; ++r) {
        const auto value = block.table.values[r * columns + key_columns_[k]];
        if (w.names[k].size() > kMostNames) break;
        w.names[k].try_emplace(xxh64_value(value, 0), value);
      }
  }

  const RowEncoder& rows_;
  BadRowPolicy policy_;
  EncodedWriter& writer_;
  std::vector<size_t> key_columns_;
  std::vector<Worker> workers_;
  EncodedSummary summary_;
};

}  // namespace

void encode_block(const RowEncoder& encoder, const ScanBlock& block, EncodedBlock& out, std::vector<BadRow>& bad,
                  std::vector<uint32_t>* taken) {
  out.clear();
  bad.clear();
  if (taken) taken->clear();
  const size_t columns = block.table.columns;
  auto unusable = block.table.bad.begin();
  for (size_t r = 0; r < block.table.rows; ++r) {
    const std::string_view* values = block.table.values.data() + r * columns;
    const int64_t row = block.first_row + static_cast<int64_t>(r);
    if (unusable != block.table.bad.end() && unusable->row == r) {
      if (unusable->stops || encoder.in_split(values, row)) bad.push_back(*unusable);
      ++unusable;
      continue;
    }
    const auto start = static_cast<uint32_t>(out.words.size());
    BadRow problem;
    problem.row = static_cast<uint32_t>(r);
    const auto result = encoder.encode(values, row, out.words, problem);
    if (result == RowEncoder::Result::row) {
      out.starts.push_back(start);
      if (taken) taken->push_back(problem.row);
    }
    if (result == RowEncoder::Result::bad) bad.push_back(std::move(problem));
  }
}

std::shared_ptr<const EncodedSet> encode_files(const std::vector<std::string>& files, const ReadOptions& options,
                                               const RowEncoder& rows, BadRowPolicy policy, int threads,
                                               EncodedWriter& writer) {
  Encoder encoder(rows, std::move(policy), threads, writer);
  FileScan(files, options, rows.columns())
      .run(
          threads, [&](int worker, ScanBlock& block) { encoder.work(worker, block); },
          [&](int worker, ScanBlock& block) {
            encoder.deliver(worker, block);
            return true;
          });
  return encoder.finish();
}

}  // namespace mtrank
