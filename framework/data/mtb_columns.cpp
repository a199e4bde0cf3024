#include "framework/data/mtb_columns.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "framework/core/error.h"
#include "framework/core/hash.h"

namespace mtrank {
namespace {

static_assert(std::endian::native == std::endian::little, ".mtb files are little-endian");

constexpr uint64_t kMissingLabel = 2;
/// Rows decoded at a time, so that the records stay in the first cache while their columns are filled in.
constexpr uint32_t kTile = 32;

using Kind = MtbColumn::Kind;

/// The smallest type for values below `limit`.
MtbType smallest(uint64_t limit) {
  if (limit <= uint64_t{1} << 8) return MtbType::u8;
  return limit <= uint64_t{1} << 16 ? MtbType::u16 : MtbType::u32;
}

/// Calls f with a value of the type's C++ type.
template <class F>
auto with_type(MtbType type, F&& f) {
  switch (type) {
    case MtbType::u8:
      return f(uint8_t{});
    case MtbType::u16:
      return f(uint16_t{});
    case MtbType::u64:
      return f(uint64_t{});
    case MtbType::u32:
    case MtbType::f32:
      break;
  }
  return f(uint32_t{});
}

uint32_t label_code(uint32_t word) {
  float y;
  std::memcpy(&y, &word, 4);
  MTRANK_ASSERT(std::isnan(y) || y == 0 || y == 1);
  return std::isnan(y) ? kMissingLabel : y == 1;
}

uint32_t label_word(uint64_t code) {
  constexpr float values[] = {0, 1, std::numeric_limits<float>::quiet_NaN()};
  return std::bit_cast<uint32_t>(values[code]);
}

bool coded_label(const MtbColumn& c) { return c.kind == Kind::label && c.type == MtbType::u8; }

class BlockEncoder {
 public:
  BlockEncoder(const RecordLayout& layout, const std::vector<MtbColumn>& columns, const EncodedBlock& block,
               std::vector<char>& out)
      : columns_(columns), block_(block), out_(out), at_(block.rows(), uint32_t(layout.fixed)) {}

  void run() {
    std::vector<MtbEntry> entries(columns_.size());
    out_.assign(mtb_aligned(sizeof(MtbEntry) * entries.size()), 0);
    for (size_t c = 0; c < columns_.size(); ++c) entries[c] = column(columns_[c]);
    std::memcpy(out_.data(), entries.data(), sizeof(MtbEntry) * entries.size());
  }

 private:
  MtbEntry column(const MtbColumn& c) {
    const size_t begin = out_.size();
    with_type(c.type, [&](auto type) { c.per_row() ? fixed<decltype(type)>(c) : list<decltype(type)>(c); });
    const size_t bytes = out_.size() - begin;
    uint64_t value = 0;
    if (c.may_be_constant() && constant(c, begin, value)) {
      out_.resize(begin);
      return {0, value, xxh64(&value, sizeof value, 0)};
    }
    const uint64_t hash = xxh64(out_.data() + begin, bytes, 0);
    out_.resize(mtb_aligned(out_.size()), 0);
    return {bytes, 0, hash};
  }

  bool constant(const MtbColumn& c, size_t begin, uint64_t& value) const {
    const size_t size = mtb_size(c.type);
    const char* values = out_.data() + begin;
    for (size_t r = 1; r < block_.rows(); ++r)
      if (std::memcmp(values, values + r * size, size) != 0) return false;
    if (block_.rows() > 0) std::memcpy(&value, values, size);
    return true;
  }

  /// Room for so many more values.
  template <class T>
  char* grow(size_t count) {
    out_.resize(out_.size() + count * sizeof(T));
    return out_.data() + out_.size() - count * sizeof(T);
  }

  template <class T>
  static void put(char*& to, T value) {
    std::memcpy(to, &value, sizeof value);
    to += sizeof value;
  }

  template <class T>
  void fixed(const MtbColumn& c) {
    char* to = grow<T>(block_.rows() * static_cast<size_t>(c.width));
    for (size_t r = 0; r < block_.rows(); ++r) {
      const uint32_t* word = block_.record(r) + c.word;
      if constexpr (sizeof(T) == 8) {
        T value;
        std::memcpy(&value, word, sizeof value);
        put(to, value);
      } else {
        for (int i = 0; i < c.width; ++i) put(to, narrow<T>(c, coded_label(c) ? label_code(word[i]) : word[i]));
      }
    }
  }

  /// The next list of every record.
  template <class T>
  void list(const MtbColumn& c) {
    size_t count = 0;
    for (size_t r = 0; r < block_.rows(); ++r) count += block_.record(r)[c.word];
    char* to = grow<T>(count);
    for (size_t r = 0; r < block_.rows(); ++r) {
      const uint32_t n = block_.record(r)[c.word];
      const uint32_t* from = block_.record(r) + at_[r];
      for (uint32_t i = 0; i < n; ++i) put(to, narrow<T>(c, from[i]));
      at_[r] += n;
    }
  }

  template <class T>
  static T narrow(const MtbColumn& c, uint32_t value) {
    MTRANK_ASSERT(c.limit == 0 || value < c.limit);
    return static_cast<T>(value);
  }

  const std::vector<MtbColumn>& columns_;
  const EncodedBlock& block_;
  std::vector<char>& out_;
  std::vector<uint32_t> at_;  ///< by row: where its next list begins
};

class BlockDecoder {
 public:
  BlockDecoder(const RecordLayout& layout, const std::vector<MtbColumn>& columns, std::string_view bytes, uint32_t rows,
               const std::string& path, size_t block, EncodedBlock& out)
      : layout_(layout), columns_(columns), bytes_(bytes), rows_(rows), path_(path), block_(block), out_(out) {}

  void run() {
    find_columns();
    place_records();
    for (uint32_t first = 0; first < rows_; first += kTile) tile(first, std::min(rows_, first + kTile));
  }

 private:
  struct Column {
    const MtbColumn* about;
    const char* values;  ///< null: all are `constant`
    uint64_t constant;
    const char* next;  ///< ids and weights: of the next row
  };

  [[noreturn]] void fail(const std::string& problem) const {
    throw FileError(path_ + ": block " + std::to_string(block_) + ": " + problem + "; convert again");
  }
  [[noreturn]] void fail(const MtbColumn& c, const std::string& problem) const { fail(c.title() + " " + problem); }

  void find_columns() {
    size_t at = mtb_aligned(sizeof(MtbEntry) * columns_.size());
    if (at > bytes_.size()) fail("the table of columns is cut off");
    found_.clear();
    words_ = uint64_t{rows_} * static_cast<uint64_t>(layout_.fixed);
    uint64_t total = 0;  // ids of the list under way
    for (size_t i = 0; i < columns_.size(); ++i) {
      const MtbColumn& c = columns_[i];
      MtbEntry e;
      std::memcpy(&e, bytes_.data() + i * sizeof e, sizeof e);
      const bool constant = e.bytes == 0 && c.may_be_constant();
      const uint64_t count = c.per_row() ? uint64_t{rows_} * static_cast<uint64_t>(c.width) : total;
      if (e.bytes > bytes_.size() - at) fail(c, "is cut off");
      if (!constant && e.bytes != count * mtb_size(c.type))
        fail(c, "has " + std::to_string(e.bytes) + " bytes, expected " + std::to_string(count * mtb_size(c.type)));
      const char* values = bytes_.data() + at;
      if ((constant ? xxh64(&e.value, sizeof e.value, 0) : xxh64(values, e.bytes, 0)) != e.hash)
        fail(c, "is damaged (its checksum differs)");
      found_.push_back({&c, constant ? nullptr : values, e.value, values});
      check_limit(found_.back(), count);
      if (c.kind == Kind::lengths) total = sum(found_.back());
      if (!c.per_row()) words_ += total;
      if (words_ > UINT32_MAX) fail(c, "makes the rows too long for a block");
      at += mtb_aligned(e.bytes);
      if (at > bytes_.size()) fail(c, "is cut off");
    }
    if (at != bytes_.size()) fail("has bytes after its last column");
  }

  void check_limit(const Column& column, uint64_t count) const {
    const MtbColumn& c = *column.about;
    const uint64_t above = mtb_size(c.type) >= 8 ? 0 : uint64_t{1} << (8 * mtb_size(c.type));
    uint64_t most = column.constant;
    if (column.values) {
      if (c.limit == 0 || c.limit == above || count == 0) return;
      most = with_type(c.type, [&](auto type) -> uint64_t {
        using T = decltype(type);
        T largest = 0;
        for (uint64_t i = 0; i < count; ++i) largest = std::max(largest, load<T>(column.values, i));
        return largest;
      });
    }
    if (c.limit == 0 || most < c.limit) return;
    fail(c, "holds " + std::to_string(most) + ", expected less than " + std::to_string(c.limit));
  }

  uint64_t sum(const Column& column) const {
    if (!column.values) return column.constant * rows_;
    return with_type(column.about->type, [&](auto type) {
      uint64_t total = 0;
      for (uint64_t r = 0; r < rows_; ++r) total += load<decltype(type)>(column.values, r);
      return total;
    });
  }

  template <class T>
  static T load(const char* values, uint64_t index) {
    T value;
    std::memcpy(&value, values + index * sizeof value, sizeof value);
    return value;
  }

  /// Where each record begins, which its lists tell, and room for all of them.
  void place_records() {
    sizes_.assign(rows_, static_cast<uint32_t>(layout_.fixed));
    for (size_t i = 0; i < found_.size(); ++i) {
      const Column& column = found_[i];
      if (column.about->kind != Kind::lengths) continue;
      const bool weighted = i + 2 < found_.size() && found_[i + 2].about->kind == Kind::weights;
      with_type(column.about->type, [&](auto type) {
        using T = decltype(type);
        for (uint32_t r = 0; r < rows_; ++r)
          sizes_[r] += static_cast<uint32_t>(column.values ? load<T>(column.values, r) : column.constant)
                       << int(weighted);
      });
    }
    out_.starts.resize(rows_);
    uint32_t words = 0;
    for (uint32_t r = 0; r < rows_; ++r) {
      out_.starts[r] = words;
      words += sizes_[r];
    }
    MTRANK_ASSERT(words == words_);
    out_.words.resize(words);
  }

  void tile(uint32_t first, uint32_t last) {
    uint32_t at[kTile];
    std::fill_n(at, last - first, static_cast<uint32_t>(layout_.fixed));
    for (Column& column : found_)
      with_type(column.about->type, [&](auto type) {
        using T = decltype(type);
        column.about->per_row() ? fixed<T>(column, first, last) : list<T>(column, first, last, at);
      });
  }

  uint32_t* record(uint32_t row) const { return out_.words.data() + out_.starts[row]; }

  template <class T>
  void fixed(const Column& column, uint32_t first, uint32_t last) const {
    const MtbColumn& c = *column.about;
    const auto width = static_cast<size_t>(c.width);
    if (!column.values) {
      const T value = static_cast<T>(column.constant);
      for (uint32_t r = first; r < last; ++r) store(record(r) + c.word, value);
      return coded_label(c) ? decode_labels(c, first, last) : void();
    }
    const char* from = column.values + first * width * sizeof(T);
    for (uint32_t r = first; r < last; ++r, from += width * sizeof(T)) {
      uint32_t* to = record(r) + c.word;
      if constexpr (sizeof(T) >= 4)
        std::memcpy(to, from, width * sizeof(T));
      else
        for (size_t i = 0; i < width; ++i) store(to + i, load<T>(from, i));
    }
    if (coded_label(c)) decode_labels(c, first, last);
  }

  void decode_labels(const MtbColumn& c, uint32_t first, uint32_t last) const {
    for (uint32_t r = first; r < last; ++r) record(r)[c.word] = label_word(record(r)[c.word]);
  }

  template <class T>
  static void store(uint32_t* to, T value) {
    if constexpr (sizeof(T) == 8)
      std::memcpy(to, &value, sizeof value);
    else
      *to = value;
  }

  /// The next list of every record; `at` says where it goes.
  template <class T>
  void list(Column& column, uint32_t first, uint32_t last, uint32_t* at) const {
    const char* from = column.next;
    for (uint32_t r = first; r < last; ++r) {
      uint32_t* start = record(r);
      const uint32_t n = start[column.about->word];
      uint32_t* to = start + at[r - first];
      for (uint32_t i = 0; i < n; ++i) to[i] = load<T>(from, i);
      from += n * sizeof(T);
      at[r - first] += n;
    }
    column.next = from;
  }

  const RecordLayout& layout_;
  const std::vector<MtbColumn>& columns_;
  const std::string_view bytes_;
  const uint32_t rows_;
  const std::string& path_;
  const size_t block_;
  EncodedBlock& out_;
  uint64_t words_ = 0;  ///< of all records
  static thread_local std::vector<Column> found_;
  static thread_local std::vector<uint32_t> sizes_;
};

thread_local std::vector<BlockDecoder::Column> BlockDecoder::found_;
thread_local std::vector<uint32_t> BlockDecoder::sizes_;

MtbColumn column(const std::string& name, Kind kind, MtbType type, int word, uint64_t limit = 0, int width = 1) {
  return {name, kind, type, width, word, limit};
}

}  // namespace

size_t mtb_size(MtbType type) {
  constexpr size_t sizes[] = {1, 2, 4, 8, 4};
  return sizes[static_cast<int>(type)];
}

const char* mtb_type_name(MtbType type) {
  constexpr const char* names[] = {"u8", "u16", "u32", "u64", "f32"};
  return names[static_cast<int>(type)];
}

std::string MtbColumn::title() const {
  switch (kind) {
    case Kind::id:
    case Kind::dense:
      return "feature '" + name + "'";
    case Kind::lengths:
      return "feature '" + name + "' (lengths)";
    case Kind::ids:
      return "feature '" + name + "' (ids)";
    case Kind::weights:
      return "feature '" + name + "' (weights)";
    case Kind::label:
      return "label '" + name + "'";
    case Kind::weight:
      return "the row weights";
    case Kind::flags:
      return "the conditions";
    case Kind::key:
      break;
  }
  return "key column '" + name + "'";
}

std::vector<MtbColumn> mtb_columns(const InputSchema& schema, const RecordLayout& layout) {
  std::vector<MtbColumn> out;
  int dense = layout.dense;
  for (const FeatureInfo& f : schema.features) {
    if (f.kind == FeatureKind::dense) {
      out.push_back(column(f.name, Kind::dense, MtbType::f32, dense, 0, f.width));
      dense += f.width;
      continue;
    }
    const auto rows = static_cast<uint64_t>(schema.tables[static_cast<size_t>(schema.table(f.table))].rows);
    if (f.kind != FeatureKind::ids) {
      out.push_back(column(f.name, Kind::id, smallest(rows), f.slot, rows));
      continue;
    }
    const auto most = static_cast<uint64_t>(f.max_len) + 1;
    out.push_back(column(f.name, Kind::lengths, smallest(most), f.slot, most));
    out.push_back(column(f.name, Kind::ids, smallest(rows), f.slot, rows));
    if (f.weighted) out.push_back(column(f.name, Kind::weights, MtbType::f32, f.slot));
  }
  for (int i = 0; i < layout.labels_count; ++i) {
    const LabelInfo& label = schema.labels[static_cast<size_t>(i)];
    const bool binary = label.binary;
    out.push_back(column(label.name, Kind::label, binary ? MtbType::u8 : MtbType::f32, layout.labels + i,
                         binary ? kMissingLabel + 1 : 0));
  }
  if (layout.has_weight) out.push_back(column("weight", Kind::weight, MtbType::f32, layout.weight));
  const int words = layout.flag_words();
  out.push_back(column("flags", Kind::flags,
                       words > 1 ? MtbType::u32 : smallest(uint64_t{1} << (1 + layout.conditions)), layout.flags, 0,
                       words));
  for (int k = 0; k < layout.keys_count; ++k)
    out.push_back(column(schema.keys[static_cast<size_t>(k)], Kind::key, MtbType::u64, layout.keys + 2 * k));
  return out;
}

MtbCodec::MtbCodec(const InputSchema& schema, const RecordLayout& layout)
    : layout_(layout), columns_(mtb_columns(schema, layout)) {}

void MtbCodec::encode(const EncodedBlock& block, std::vector<char>& out) const {
  BlockEncoder(layout_, columns_, block, out).run();
}

void MtbCodec::decode(std::string_view bytes, uint32_t rows, const std::string& path, size_t block,
                      EncodedBlock& out) const {
  BlockDecoder(layout_, columns_, bytes, rows, path, block, out).run();
}

}  // namespace mtrank
