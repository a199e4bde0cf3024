#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "framework/core/fs.h"
#include "framework/data/mtb_columns.h"

namespace mtrank {

/// What a directory knows of one of its shards.
struct MtbShardInfo {
  std::string file;  ///< its name in the directory
  uint64_t bytes = 0;
  uint64_t hash = 0;  ///< of its index, which holds the hashes of all blocks
  int64_t rows = 0;
};

/// One `.mtb` file: a header, the names and types of the columns, blocks of rows, an index of the blocks. All of it but
/// the blocks is read and checked when it is opened, a block when it is read. Not mapped: a file that someone cuts
/// short gives an error, not a signal. Thread-safe.
class MtbShard {
 public:
  struct Block {
    uint64_t offset, bytes;
    uint64_t words;  ///< of the rows in memory
    uint64_t hash;   ///< of the rows in memory
    uint32_t rows, unused;
  };

  /// Throws FileError when it is no whole `.mtb` file.
  explicit MtbShard(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<MtbColumn>& columns() const { return columns_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  int64_t rows() const;
  uint64_t bytes() const { return file_.size(); }
  uint64_t hash() const { return index_hash_; }
  /// Throws FileError naming the column that is damaged. `codec` has this file's columns.
  void read(size_t block, const MtbCodec& codec, EncodedBlock& out) const;

 private:
  [[noreturn]] void fail(const std::string& problem) const;
  uint64_t read_header();
  void read_columns(const std::string& bytes);
  void read_index(uint64_t data);

  disk::Input file_;
  std::vector<MtbColumn> columns_;
  std::vector<Block> blocks_;
  uint64_t index_hash_ = 0;
};

/// Writes the shards of a part, `<part>-00000.mtb` and so on. Call `finish` once.
class MtbWriter : public EncodedWriter {
 public:
  static constexpr uint64_t kShardBytes = uint64_t{1} << 30;
  /// A shard is closed once it has `shard_bytes`. `folder` exists.
  MtbWriter(std::string folder, std::string part, const InputSchema& schema, const RecordLayout& layout,
            uint64_t shard_bytes = kShardBytes);
  ~MtbWriter() override;

  void add(const EncodedBlock& block) override;
  /// Opens what was written.
  std::shared_ptr<const EncodedSet> finish(EncodedSummary summary) override;
  const std::vector<MtbShardInfo>& shards() const { return shards_; }
  /// Written so far.
  uint64_t bytes() const { return bytes_; }

 private:
  struct Shard;
  void close();

  const std::string folder_, part_;
  const uint64_t shard_bytes_;
  const MtbCodec codec_;
  std::unique_ptr<Shard> shard_;
  std::vector<MtbShardInfo> shards_;
  std::vector<char> buffer_;
  uint64_t bytes_ = 0;
};

/// Opens the shards of a part. Throws FileError when one is missing, is not the one that was written, or has other
/// columns than `codec`, naming the first that differs.
std::shared_ptr<const EncodedSet> open_mtb(const std::string& folder, const std::vector<MtbShardInfo>& shards,
                                           const MtbCodec& codec, EncodedSummary summary);

/// Columns, rows and bytes of a file, for people.
std::string describe_mtb(const std::string& path);
/// Whether a file begins as one.
bool is_mtb(const std::string& path);

}  // namespace mtrank
