#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "framework/core/atomic_file.h"
#include "framework/data/record.h"

namespace mtrank {

class ByteWriter;
class ByteParser;

/// Some encoded rows, in file order.
struct EncodedBlock {
  std::vector<uint32_t> words;
  std::vector<uint32_t> starts;  ///< of each record in `words`

  uint32_t rows() const { return static_cast<uint32_t>(starts.size()); }
  const uint32_t* record(size_t row) const { return words.data() + starts[row]; }
  void clear() {
    words.clear();
    starts.clear();
  }
};

/// Sums over the rows of a set.
struct LabelCounts {
  int64_t rows = 0;       ///< not missing
  int64_t positives = 0;  ///< binary
  double sum = 0;         ///< regression
};

/// What is known of a set of encoded rows beside the rows.
struct EncodedSummary {
  int64_t rows = 0;
  int64_t bad_rows = 0;
  std::string first_bad_row;                           ///< its message
  std::vector<LabelCounts> labels;                     ///< by label
  std::vector<int64_t> conditions;                     ///< by condition: rows for which it holds
  std::vector<std::map<uint64_t, std::string>> names;  ///< by key: value by hash; empty where there are too many
};

/// What encoded rows take in memory, which is what a shuffle counts.
uint64_t encoded_bytes(uint64_t rows, uint64_t words);
/// Of rows in memory, however they are stored.
uint64_t encoded_hash(const EncodedBlock& block);

/// Adds the rows, labels and conditions of a block.
void count_rows(const RecordLayout& layout, const EncodedBlock& block, EncodedSummary& summary);

void put_summary(ByteWriter& out, const EncodedSummary& summary);
/// Throws FileError.
EncodedSummary get_summary(ByteParser& in);

/// Encoded rows in a file of the cache, or in memory where there is no cache. Thread-safe for reading.
class EncodedSet {
 public:
  virtual ~EncodedSet() = default;
  const EncodedSummary& summary() const { return summary_; }
  size_t blocks() const { return rows_.size(); }
  uint32_t block_rows(size_t block) const { return rows_[block]; }
  uint64_t block_bytes(size_t block) const { return bytes_[block]; }
  uint64_t bytes() const;
  /// Whether all rows stay in memory; otherwise they are read from the cache.
  virtual bool in_memory() const { return false; }
  /// Of the rows alone: the same wherever and from whichever files they came.
  uint64_t fingerprint() const;
  /// Throws FileError when the cache was damaged since it was opened.
  virtual void read(size_t block, EncodedBlock& out) const = 0;

 protected:
  EncodedSummary summary_;
  std::vector<uint32_t> rows_;
  std::vector<uint64_t> bytes_;  ///< of a block in memory
  std::vector<uint64_t> hashes_;
};

/// Takes blocks in order and turns them into a set.
class EncodedWriter {
 public:
  virtual ~EncodedWriter() = default;
  virtual void add(const EncodedBlock& block) = 0;
  virtual std::shared_ptr<const EncodedSet> finish(EncodedSummary summary) = 0;
};

std::unique_ptr<EncodedWriter> encode_to_memory();
/// Writes a file that is complete or not there. `key`: what the rows were made from.
std::unique_ptr<EncodedWriter> encode_to_file(const std::string& path, uint64_t key);
/// Null when there is no such file, when it was made from something else, or when it is damaged (`problem` says how).
std::shared_ptr<const EncodedSet> open_encoded(const std::string& path, uint64_t key, std::string* problem);

}  // namespace mtrank
