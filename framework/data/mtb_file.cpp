#include "framework/data/mtb_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "framework/core/error.h"
#include "framework/core/hash.h"
#include "framework/data/byte_stream.h"

namespace mtrank {
namespace {

constexpr uint64_t kMagic = 0x314f4442544d5254u;  // "TRMTBDO1"
constexpr uint32_t kVersion = 1;
constexpr uint64_t kMostColumnBytes = 64 << 20;

/// The first bytes of a file; the text of the columns follows.
struct Header {
  uint64_t magic = kMagic;
  uint32_t version = kVersion, columns = 0;
  uint64_t columns_bytes = 0, columns_hash = 0;
  uint64_t unused[3] = {};
  uint64_t hash = 0;  ///< of the bytes before it

  uint64_t expected_hash() const { return xxh64(this, offsetof(Header, hash), 0); }
};
static_assert(sizeof(Header) == 64);

/// The last bytes of a file.
struct Tail {
  uint64_t index, blocks, index_hash, magic;
};

std::string columns_text(const std::vector<MtbColumn>& columns) {
  ByteWriter out;
  for (const MtbColumn& c : columns) {
    out.put_text(c.name);
    out.put(static_cast<uint8_t>(c.kind));
    out.put(static_cast<uint8_t>(c.type));
    out.put(int32_t{c.width});
    out.put(int32_t{c.word});
    out.put(c.limit);
  }
  return out.bytes();
}

/// Blocks of several shards as one set.
class MtbSet : public EncodedSet {
 public:
  MtbSet(std::vector<std::unique_ptr<MtbShard>> shards, const MtbCodec& codec, EncodedSummary summary)
      : shards_(std::move(shards)), codec_(codec) {
    summary_ = std::move(summary);
    for (const auto& shard : shards_)
      for (size_t b = 0; b < shard->blocks().size(); ++b) {
        const auto& block = shard->blocks()[b];
        where_.push_back({shard.get(), b});
        rows_.push_back(block.rows);
        bytes_.push_back(encoded_bytes(block.rows, block.words));
        hashes_.push_back(block.hash);
      }
  }
  void read(size_t block, EncodedBlock& out) const override {
    where_[block].shard->read(where_[block].block, codec_, out);
  }

 private:
  struct Place {
    const MtbShard* shard;
    size_t block;
  };
  std::vector<std::unique_ptr<MtbShard>> shards_;
  const MtbCodec codec_;
  std::vector<Place> where_;
};

}  // namespace

void MtbShard::fail(const std::string& problem) const {
  throw FileError(file_.path() + ": not a usable .mtb file: " + problem + "; convert again");
}

MtbShard::MtbShard(const std::string& path) : file_(path) {
  if (file_.size() < sizeof(Header) + sizeof(Tail)) fail("it is too short");
  read_index(read_header());
}

/// Reads the columns too, and gives the offset of the first block.
uint64_t MtbShard::read_header() {
  Header header;
  file_.read(0, &header, sizeof header);
  if (header.magic != kMagic) fail("it does not begin as one");
  if (header.hash != header.expected_hash()) fail("its header is damaged");
  if (header.version != kVersion)
    fail(fmt::format("it has version {}, this program reads {}", header.version, kVersion));
  if (header.columns_bytes > std::min(kMostColumnBytes, file_.size() - sizeof header)) fail("its columns are cut off");
  std::string columns(header.columns_bytes, '\0');
  file_.read(sizeof header, columns.data(), columns.size());
  if (xxh64(columns) != header.columns_hash) fail("the names of its columns are damaged");
  read_columns(columns);
  if (columns_.size() != header.columns) fail("its header tells another number of columns");
  return mtb_aligned(sizeof header + columns.size());
}

void MtbShard::read_columns(const std::string& bytes) {
  for (ByteParser in(bytes, file_.path()); !in.at_end();) {
    MtbColumn c;
    c.name = in.get_text();
    const auto kind = in.get<uint8_t>(), type = in.get<uint8_t>();
    if (kind > static_cast<uint8_t>(MtbColumn::Kind::key) || type > static_cast<uint8_t>(MtbType::f32))
      fail("column '" + c.name + "' is of an unknown type");
    c.kind = static_cast<MtbColumn::Kind>(kind);
    c.type = static_cast<MtbType>(type);
    c.width = in.get<int32_t>();
    c.word = in.get<int32_t>();
    c.limit = in.get<uint64_t>();
    columns_.push_back(std::move(c));
  }
}

void MtbShard::read_index(uint64_t data) {
  Tail tail;
  const uint64_t end = file_.size() - sizeof tail;
  file_.read(end, &tail, sizeof tail);
  if (tail.magic != kMagic) fail("it does not end as one: it was cut off");
  if (tail.index < data || tail.index > end || tail.blocks > end / sizeof(Block) ||
      tail.index + tail.blocks * sizeof(Block) != end)
    fail("its index is out of bounds");
  blocks_.resize(tail.blocks);
  file_.read(tail.index, blocks_.data(), end - tail.index);
  index_hash_ = xxh64(blocks_.data(), end - tail.index, 0);
  if (index_hash_ != tail.index_hash) fail("its index is damaged");
  uint64_t at = data;
  for (const Block& block : blocks_) {
    if (block.offset != at || block.bytes > tail.index - at || block.bytes % kMtbAlignment != 0)
      fail("a block is out of bounds");
    at += block.bytes;
  }
  if (at != tail.index) fail("it has bytes between its blocks and its index");
}

int64_t MtbShard::rows() const {
  int64_t rows = 0;
  for (const Block& block : blocks_) rows += block.rows;
  return rows;
}

void MtbShard::read(size_t block, const MtbCodec& codec, EncodedBlock& out) const {
  thread_local std::vector<char> bytes;  // of a block: stays in the cache of its core
  const Block& b = blocks_[block];
  bytes.resize(b.bytes);
  file_.read(b.offset, bytes.data(), b.bytes);
  codec.decode({bytes.data(), bytes.size()}, b.rows, file_.path(), block, out);
  if (out.words.size() != b.words) fail("the rows of block " + std::to_string(block) + " are not as long as it says");
}

struct MtbWriter::Shard {
  Shard(const std::string& path, const std::vector<MtbColumn>& columns) : file(path) {
    const std::string text = columns_text(columns);
    Header header;
    header.columns = static_cast<uint32_t>(columns.size());
    header.columns_bytes = text.size();
    header.columns_hash = xxh64(text);
    header.hash = header.expected_hash();
    file.write(&header, sizeof header);
    file.write(text);
    file.write(std::string(mtb_aligned(file.size()) - file.size(), '\0'));
  }

  disk::Output file;
  std::vector<MtbShard::Block> blocks;
};

MtbWriter::MtbWriter(std::string folder, std::string part, const InputSchema& schema, const RecordLayout& layout,
                     uint64_t shard_bytes)
    : folder_(std::move(folder)), part_(std::move(part)), shard_bytes_(shard_bytes), codec_(schema, layout) {}

MtbWriter::~MtbWriter() = default;

void MtbWriter::add(const EncodedBlock& block) {
  if (!shard_) {
    shards_.push_back({fmt::format("{}-{:05}.mtb", part_, shards_.size()), 0, 0, 0});
    shard_ = std::make_unique<Shard>(folder_ + "/" + shards_.back().file, codec_.columns());
  }
  codec_.encode(block, buffer_);
  shard_->blocks.push_back(
      {shard_->file.size(), buffer_.size(), block.words.size(), encoded_hash(block), block.rows(), 0});
  shard_->file.write(buffer_.data(), buffer_.size());
  bytes_ += buffer_.size();
  shards_.back().rows += block.rows();
  if (shard_->file.size() >= shard_bytes_) close();
}

void MtbWriter::close() {
  const size_t size = sizeof(MtbShard::Block) * shard_->blocks.size();
  const Tail tail{shard_->file.size(), shard_->blocks.size(), xxh64(shard_->blocks.data(), size, 0), kMagic};
  shard_->file.write(shard_->blocks.data(), size);
  shard_->file.write(&tail, sizeof tail);
  shard_->file.sync();
  shards_.back().bytes = shard_->file.size();
  shards_.back().hash = tail.index_hash;
  shard_->file.close();
  shard_.reset();
}

std::shared_ptr<const EncodedSet> MtbWriter::finish(EncodedSummary summary) {
  if (shard_) close();
  return open_mtb(folder_, shards_, codec_, std::move(summary));
}

std::shared_ptr<const EncodedSet> open_mtb(const std::string& folder, const std::vector<MtbShardInfo>& infos,
                                           const MtbCodec& codec, EncodedSummary summary) {
  std::vector<std::unique_ptr<MtbShard>> shards;
  int64_t rows = 0;
  for (const MtbShardInfo& info : infos) {
    const std::string path = folder + "/" + info.file;
    std::error_code error;  // another one comes out when it is opened
    if (std::filesystem::status(path, error).type() == std::filesystem::file_type::not_found)
      throw FileError(path + ": is missing; convert again, or bring it from where the others are from");
    shards.push_back(std::make_unique<MtbShard>(path));
    const MtbShard& shard = *shards.back();
    if (shard.bytes() != info.bytes || shard.hash() != info.hash || shard.rows() != info.rows)
      throw FileError(shard.path() + ": is not the file that was written with the others of " + folder +
                      "; convert again");
    const std::vector<MtbColumn>&found = shard.columns(), &expected = codec.columns();
    for (size_t c = 0; c < std::max(found.size(), expected.size()); ++c) {
      if (c < std::min(found.size(), expected.size()) && columns_text({found[c]}) == columns_text({expected[c]}))
        continue;
      throw FileError(shard.path() + ": " + (c < expected.size() ? expected[c] : found[c]).title() +
                      " is stored in another way than the config needs; convert again");
    }
    rows += shard.rows();
  }
  if (rows != summary.rows)
    throw FileError(folder + ": its files have " + std::to_string(rows) + " rows, its manifest says " +
                    std::to_string(summary.rows));
  return std::make_shared<MtbSet>(std::move(shards), codec, std::move(summary));
}

bool is_mtb(const std::string& path) {
  if (!disk::is_file(path)) return false;
  const disk::Input file(path);
  uint64_t magic = 0;
  if (file.size() < sizeof magic) return false;
  file.read(0, &magic, sizeof magic);
  return magic == kMagic;
}

std::string describe_mtb(const std::string& path) {
  const MtbShard shard(path);
  std::string text = fmt::format("{} rows in {} blocks, {} bytes, {} columns\n", shard.rows(), shard.blocks().size(),
                                 shard.bytes(), shard.columns().size());
  for (const MtbColumn& c : shard.columns())
    text += fmt::format("  {:<48} {:>4}{}\n", c.title(), mtb_type_name(c.type),
                        c.width > 1   ? " x " + std::to_string(c.width)
                        : c.per_row() ? ""
                                      : " a list");
  return text;
}

}  // namespace mtrank
