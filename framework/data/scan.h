#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "framework/data/reader.h"

namespace mtrank {

/// One block of a scan, cut into the columns that were asked for.
struct ScanBlock {
  std::string path;
  FieldTable table;
  int64_t first_row = 0;   ///< number of the block's first row, counted over all files from 0
  int64_t first_line = 1;  ///< its line in `path`, counted from 1
  RawBlock raw;

  int64_t line(size_t row) const { return first_line + table.line(row); }
};

/// Reads files, one after the other, with several threads: each reads a block (one thread at a time), parses it and
/// works on it (in parallel), and then delivers it (one thread at a time, in the order of the files). So what is
/// delivered does not depend on the number of threads, and no more than one block a thread is in memory.
class FileScan {
 public:
  /// `work(worker, block)` runs in any order, with worker in [0, threads); `deliver(worker, block)` follows in file
  /// order, on the same thread, before that worker takes another block; it returns false to stop the scan.
  using Work = std::function<void(int worker, ScanBlock& block)>;
  using Deliver = std::function<bool(int worker, ScanBlock& block)>;

  FileScan(std::vector<std::string> files, ReadOptions options, std::vector<std::string> columns)
      : files_(std::move(files)), options_(std::move(options)), columns_(std::move(columns)) {}

  /// Throws what reading, `work` or `deliver` threw for the earliest block.
  void run(int threads, const Work& work, const Deliver& deliver) const;

 private:
  std::vector<std::string> files_;
  ReadOptions options_;
  std::vector<std::string> columns_;
};

/// How the user says what to do with bad rows: for messages.
struct BadRowKeys {
  const char* skip = "data.on_bad_row: skip";
  const char* cap = "data.on_bad_row.cap";
};

/// What to do with rows that cannot be used. Told of them in file order.
class BadRowPolicy {
 public:
  /// `cap`: with `skip`, more bad rows than this are an error. Negative: no cap.
  BadRowPolicy(bool skip, int64_t cap, BadRowKeys keys = {}) : skip_(skip), cap_(cap), keys_(keys) {}

  /// Throws DataError "file:line: column 'x': found 'value', ..." when bad rows are errors, or too many, or when one
  /// stops the file.
  void report(const ScanBlock& block, const BadRow& bad);
  int64_t count() const { return count_; }
  /// The message of the first bad row, empty when there was none.
  const std::string& first() const { return first_; }

 private:
  bool skip_;
  int64_t cap_;
  BadRowKeys keys_;
  int64_t count_ = 0;
  std::string first_;
};

/// "file:line: column 'x': found 'value', expected ...".
std::string describe_bad_row(const ScanBlock& block, const BadRow& bad);

}  // namespace mtrank
