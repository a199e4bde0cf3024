#include "framework/data/encoded_set.h"

#include <cmath>
#include <numeric>

#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/core/hash.h"
#include "framework/data/byte_stream.h"

namespace mtrank {
namespace {

constexpr uint64_t kMagic = 0x3130434e4552544du;  // "MTRENC01"
/// Sets up to this size are checked when they are opened, larger ones block by block as they are read.
constexpr uint64_t kCheckedAtOnce = uint64_t{4} << 30;

/// Where a block is in the file: its starts, then its words.
struct Entry {
  uint64_t offset, words, hash;
  uint32_t rows, unused;
};

class MemorySet : public EncodedSet {
 public:
  void read(size_t block, EncodedBlock& out) const override { out = stored_[block]; }
  bool in_memory() const override { return true; }
  void add(const EncodedBlock& block) {
    stored_.push_back(block);
    rows_.push_back(block.rows());
    bytes_.push_back(encoded_bytes(block.rows(), block.words.size()));
    hashes_.push_back(encoded_hash(block));
  }
  void set_summary(EncodedSummary summary) { summary_ = std::move(summary); }

 private:
  std::vector<EncodedBlock> stored_;
};

class MemoryWriter : public EncodedWriter {
 public:
  void add(const EncodedBlock& block) override { set_->add(block); }
  std::shared_ptr<const EncodedSet> finish(EncodedSummary summary) override {
    set_->set_summary(std::move(summary));
    return set_;
  }

 private:
  std::shared_ptr<MemorySet> set_ = std::make_shared<MemorySet>();
};

class FileSet : public EncodedSet {
 public:
  /// Throws FileError when the file is not a whole set.
  FileSet(const std::string& path, uint64_t key) : file_(path) {
    if (file_.size() < 40) fail("it is too short");
    uint64_t head[2], tail[3];
    file_.read(0, head, sizeof head);
    file_.read(file_.size() - sizeof tail, tail, sizeof tail);
    if (head[0] != kMagic || tail[2] != kMagic) fail("it does not begin and end as one");
    if (head[1] != key) fail("it was made from something else");
    if (tail[0] < 16 || tail[0] > file_.size() - sizeof tail) fail("its index is out of bounds");
    std::string index(file_.size() - sizeof tail - tail[0], '\0');
    file_.read(tail[0], index.data(), index.size());
    if (xxh64(index) != tail[1]) fail("its index is damaged");
    read_index(index, tail[0]);
    if (bytes() <= kCheckedAtOnce) check_blocks();
  }

  void read(size_t block, EncodedBlock& out) const override {
    const Entry& e = entries_[block];
    out.starts.resize(e.rows);
    out.words.resize(e.words);
    file_.read(e.offset, out.starts.data(), 4 * size_t{e.rows});
    file_.read(e.offset + 4 * uint64_t{e.rows}, out.words.data(), 4 * e.words);
    if (encoded_hash(out) != e.hash) fail("block " + std::to_string(block) + " is damaged");
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw FileError(file_.path() + ": not a usable cache of encoded rows: " + problem + "; delete it");
  }

  void read_index(const std::string& index, uint64_t end) {
    ByteParser in(index, file_.path());
    entries_ = in.get_all<Entry>();
    summary_ = get_summary(in);
    int64_t rows = 0;
    for (const Entry& e : entries_) {
      if (e.offset > end || e.words > end / 4 || e.offset + 4 * (e.rows + e.words) > end)
        fail("a block is out of bounds");
      rows_.push_back(e.rows);
      bytes_.push_back(encoded_bytes(e.rows, e.words));
      hashes_.push_back(e.hash);
      rows += e.rows;
    }
    if (rows != summary_.rows) fail("its blocks have " + std::to_string(rows) + " rows, its summary other ones");
  }

  void check_blocks() const {
    EncodedBlock block;
    for (size_t b = 0; b < entries_.size(); ++b) read(b, block);
  }

  disk::Input file_;
  std::vector<Entry> entries_;
};

class FileWriter : public EncodedWriter {
 public:
  FileWriter(const std::string& path, uint64_t key) : path_(path), key_(key), file_(path) {
    const uint64_t head[2] = {kMagic, key};
    file_.write(head, sizeof head);
  }

  void add(const EncodedBlock& block) override {
    const size_t starts = 4 * block.starts.size(), words = 4 * block.words.size();
    file_.write(block.starts.data(), starts);
    file_.write(block.words.data(), words);
    entries_.push_back({offset_, block.words.size(), encoded_hash(block), block.rows(), 0});
    offset_ += starts + words;
  }

  std::shared_ptr<const EncodedSet> finish(EncodedSummary summary) override {
    ByteWriter index;
    index.put_all(entries_);
    put_summary(index, summary);
    const uint64_t tail[3] = {offset_, xxh64(index.bytes()), kMagic};
    file_.write(index.bytes());
    file_.write(tail, sizeof tail);
    file_.commit();
    return std::make_shared<FileSet>(path_, key_);
  }

 private:
  const std::string path_;
  const uint64_t key_;
  AtomicFile file_;
  uint64_t offset_ = 16;
  std::vector<Entry> entries_;
};

}  // namespace

void count_rows(const RecordLayout& layout, const EncodedBlock& block, EncodedSummary& summary) {
  summary.rows += block.rows();
  for (size_t r = 0; r < block.rows(); ++r) {
    const uint32_t* record = block.record(r);
    for (size_t i = 0; i < summary.labels.size(); ++i) {
      float y;
      std::memcpy(&y, record + layout.labels + i, 4);
      if (std::isnan(y)) continue;
      ++summary.labels[i].rows;
      summary.labels[i].positives += y == 1.0f;
      summary.labels[i].sum += static_cast<double>(y);
    }
    for (size_t c = 0; c < summary.conditions.size(); ++c)
      summary.conditions[c] += record[static_cast<size_t>(layout.flags) + (c + 1) / 32] >> ((c + 1) % 32) & 1;
  }
}

void put_summary(ByteWriter& out, const EncodedSummary& s) {
  out.put(s.rows);
  out.put(s.bad_rows);
  out.put_text(s.first_bad_row);
  out.put_all(s.labels);
  out.put_all(s.conditions);
  out.put(static_cast<uint64_t>(s.names.size()));
  for (const auto& names : s.names) {
    out.put(static_cast<uint64_t>(names.size()));
    for (const auto& [hash, name] : names) {
      out.put(hash);
      out.put_text(name);
    }
  }
}

EncodedSummary get_summary(ByteParser& in) {
  EncodedSummary s;
  s.rows = in.get<int64_t>();
  s.bad_rows = in.get<int64_t>();
  s.first_bad_row = in.get_text();
  s.labels = in.get_all<LabelCounts>();
  s.conditions = in.get_all<int64_t>();
  s.names.resize(in.get_count(8));
  for (auto& names : s.names)
    for (uint64_t n = in.get_count(16); n > 0; --n) {
      const auto hash = in.get<uint64_t>();
      names[hash] = in.get_text();
    }
  return s;
}

uint64_t encoded_bytes(uint64_t rows, uint64_t words) { return 4 * (rows + words); }

uint64_t encoded_hash(const EncodedBlock& block) {
  const uint64_t starts = xxh64(block.starts.data(), 4 * block.starts.size(), 0);
  return xxh64(block.words.data(), 4 * block.words.size(), starts);
}

uint64_t EncodedSet::bytes() const { return std::accumulate(bytes_.begin(), bytes_.end(), uint64_t{0}); }

uint64_t EncodedSet::fingerprint() const { return xxh64(hashes_.data(), 8 * hashes_.size(), 0); }

std::unique_ptr<EncodedWriter> encode_to_memory() { return std::make_unique<MemoryWriter>(); }

std::unique_ptr<EncodedWriter> encode_to_file(const std::string& path, uint64_t key) {
  return std::make_unique<FileWriter>(path, key);
}

std::shared_ptr<const EncodedSet> open_encoded(const std::string& path, uint64_t key, std::string* problem) {
  if (!disk::is_file(path)) return nullptr;
  try {
    return std::make_shared<FileSet>(path, key);
  } catch (const Error& error) {
    if (problem) *problem = error.what();
    return nullptr;
  }
}

}  // namespace mtrank
