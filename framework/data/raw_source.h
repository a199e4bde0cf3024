#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "framework/data/encode.h"

namespace mtrank {

struct RawOptions {
  int64_t batch_size = 2048;
  int threads = 1;                ///< that parse and encode; the stream does not depend on them
  std::vector<std::string> keep;  ///< columns copied to Batch::kept
  bool skip_bad_rows = false;
  int64_t bad_row_cap = 0;
};

/// Batches straight from files, in file order, without a cache: for prediction, and for evaluating a bundle. Reads a
/// few blocks ahead on threads of its own. Errors come out of `next` at their place in the stream.
class RawSource : public BatchSource {
 public:
  /// `files` may hold patterns. Throws DataError when one cannot be found.
  RawSource(const std::vector<std::string>& files, ReadOptions read, std::shared_ptr<const RowEncoder> encoder,
            RawOptions options);
  ~RawSource() override;

  const InputSchema& schema() const override { return encoder_->schema(); }
  int64_t rows() const override { return -1; }
  /// Reads from the beginning again, up to `sample`.
  void seek(int64_t epoch, int64_t sample) override;
  bool next(Batch& batch) override;
  std::string key_value(int key, uint64_t hash) const override;
  /// Rows left out so far because they were bad.
  int64_t bad_rows() const;

 private:
  struct Piece {
    EncodedBlock block;
    std::vector<std::vector<std::string>> kept;  ///< [columns][rows]
    std::vector<uint32_t> taken;
    std::vector<BadRow> bad;
  };
  size_t place(const std::string& column);
  void start();
  void stop();
  void read_files();
  void encode(const ScanBlock& block, Piece& piece) const;
  bool deliver(const ScanBlock& block, Piece& piece, BadRowPolicy& policy);
  void collect_names(const ScanBlock& block, const Piece& piece);
  bool need_piece(size_t pieces);
  bool collect(int64_t want);

  std::vector<std::string> files_;
  ReadOptions read_;
  std::shared_ptr<const RowEncoder> encoder_;
  RawOptions options_;
  std::vector<std::string> columns_;  ///< that are read: the encoder's and others that are kept
  std::vector<size_t> key_columns_, kept_columns_;

  std::thread thread_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> ready_;
  bool ended_ = false, stopping_ = false;
  std::exception_ptr error_;
  int64_t bad_rows_ = 0;
  std::vector<std::map<uint64_t, std::string>> names_;

  std::deque<Piece> pieces_;  ///< of the batch being made; the first is partly used
  size_t used_ = 0;           ///< rows of the first piece
  int64_t epoch_ = 0, sample_ = 0;
};

}  // namespace mtrank
