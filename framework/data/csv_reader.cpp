#include <algorithm>
#include <cstring>

#include "framework/core/error.h"
#include "framework/data/byte_source.h"
#include "framework/data/csv_text.h"
#include "framework/data/reader.h"

namespace mtrank {
namespace {

constexpr size_t kLongestRecord = 16 << 20;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// A field without its quotes and, with `trim`, the blanks around it. Removes the second quote of a pair in place.
/// False when there is more after the closing quote.
bool unquote(char* begin, char* end, bool trim, std::string_view& value) {
  if (trim) {
    while (begin < end && is_blank(*begin)) ++begin;
    while (begin < end && is_blank(end[-1])) --end;
  }
  if (begin == end || *begin != '"') {
    value = {begin, static_cast<size_t>(end - begin)};
    return true;
  }
  char *out = ++begin, *in = begin;
  for (; in < end; *out++ = *in++)
    if (*in == '"' && (in + 1 == end || *++in != '"')) break;
  value = {begin, static_cast<size_t>(out - begin)};
  const bool closed_at_end = in >= end || (*in == '"' && in + 1 == end);
  std::fill(out, std::max(out, in), '"');
  return closed_at_end;
}

class CsvReader : public Reader {
 public:
  CsvReader(const std::string& path, const ReadOptions& options)
      : path_(path),
        syntax_{options.delimiter, options.trim, false},
        block_bytes_(std::max<size_t>(options.block_bytes, 16)),
        source_(open_bytes(path)),
        columns_(options.columns) {
    skip_mark();
    if (columns_.empty() || options.skip_header) read_header();
    syntax_.blank_lines = columns_.size() == 1;
  }

  const std::vector<std::string>& columns() const override { return columns_; }
  int64_t first_line() const override { return first_line_; }

  bool next(RawBlock& block) override {
    if (stopped_) return false;
    block.overlong = false;
    if (block.bytes.size() < rest_.size()) block.bytes.resize(rest_.size());
    std::copy(rest_.begin(), rest_.end(), block.bytes.begin());
    size_t filled = rest_.size(), cut = 0;
    size_t target = std::max(block_bytes_, filled);
    while (true) {
      filled = fill(block.bytes, filled, target);
      if (ended_)
        cut = filled;
      else
        cut = last_record_end(block.bytes.data(), filled, syntax_);
      if (cut > 0 || ended_) break;
      if (filled >= kLongestRecord) {
        block.overlong = stopped_ = true;
        cut = filled;
        break;
      }
      target = 2 * filled;
    }
    rest_.assign(block.bytes.begin() + static_cast<ptrdiff_t>(cut),
                 block.bytes.begin() + static_cast<ptrdiff_t>(filled));
    std::memset(block.bytes.data() + cut, 0, kTextPadding);
    block.size = cut;
    return cut > 0;
  }

  void parse(RawBlock& block, const std::vector<int>& selected, FieldTable& table) const override {
    thread_local CsvIndex index;
    index_records(block.bytes.data(), block.size, syntax_, index);
    table.rows = index.rows.size();
    table.columns = selected.size();
    table.lines = index.lines;
    table.bad.clear();
    table.values.resize(table.rows * selected.size());
    if (block.overlong) return mark_overlong(block, table);
    number_lines(block, index, table);
    for (size_t r = 0; r < table.rows; ++r) parse_row(block, index, selected, r, table);
    if (index.unclosed && table.rows > 0) mark_unclosed(selected.size(), table);
  }

 private:
  /// Appends to `bytes` until it holds `target` bytes, or the file ends.
  size_t fill(std::vector<char>& bytes, size_t filled, size_t target) {
    if (bytes.size() < target + kTextPadding) bytes.resize(target + kTextPadding);
    const size_t n = source_->read(bytes.data() + filled, target - filled);
    ended_ = n < target - filled;
    return filled + n;
  }

  void skip_mark() {
    rest_.resize(block_bytes_ + kTextPadding);
    rest_.resize(fill(rest_, 0, block_bytes_));
    if (rest_.size() >= 3 && std::memcmp(rest_.data(), "\xef\xbb\xbf", 3) == 0)
      rest_.erase(rest_.begin(), rest_.begin() + 3);
    if (rest_.size() >= 2 &&
        (std::memcmp(rest_.data(), "\xff\xfe", 2) == 0 || std::memcmp(rest_.data(), "\xfe\xff", 2) == 0))
      throw DataError(path_ + ": is UTF-16 text, expected UTF-8");
  }

  void read_header() {
    RawBlock block;
    if (!next(block)) throw DataError(path_ + ": is empty, expected a header line with the names of the columns");
    CsvIndex index;
    index_records(block.bytes.data(), block.size, syntax_, index);
    while (index.rows.empty()) {  // empty lines alone
      first_line_ += lines(block, block.size);
      if (!next(block)) throw DataError(path_ + ": expected a header line with the names of the columns");
      index_records(block.bytes.data(), block.size, syntax_, index);
    }
    if (block.overlong) throw DataError(path_ + ": expected a header line with the names of the columns");
    const auto header = index.rows[0];
    const size_t header_end = std::min<size_t>(index.ends[header.first + header.fields - 1] + 1, block.size);
    const int64_t line = first_line_ + lines(block, header.start);
    first_line_ += lines(block, header_end);
    rest_.insert(rest_.begin(), block.bytes.begin() + static_cast<ptrdiff_t>(header_end),
                 block.bytes.begin() + static_cast<ptrdiff_t>(block.size));
    if (!columns_.empty()) return;
    for (uint32_t f = 0; f < header.fields; ++f) {
      std::string_view name;
      if (!field(block, index, header, f, name))
        throw DataError(path_ + ":" + std::to_string(line) + ": text after the closing quote of column " +
                        std::to_string(f + 1));
      columns_.emplace_back(name);
    }
  }

  static int64_t lines(const RawBlock& block, size_t end) {
    return std::count(block.bytes.begin(), block.bytes.begin() + static_cast<ptrdiff_t>(end), '\n');
  }

  bool field(RawBlock& block, const CsvIndex& index, const CsvIndex::Row& row, uint32_t f,
             std::string_view& value) const {
    char* text = block.bytes.data();
    char* begin = text + (f == 0 ? row.start : index.ends[row.first + f - 1] + 1);
    char* end = text + index.ends[row.first + f];
    if (f + 1 == row.fields && end > begin && end[-1] == '\r') --end;
    if (!syntax_.trim && (begin == end || *begin != '"')) {
      value = {begin, static_cast<size_t>(end - begin)};
      return true;
    }
    return unquote(begin, end, syntax_.trim, value);
  }

  void parse_row(RawBlock& block, const CsvIndex& index, const std::vector<int>& selected, size_t r,
                 FieldTable& table) const {
    const auto& row = index.rows[r];
    std::string_view* values = table.values.data() + r * selected.size();
    if (row.fields != columns_.size()) {
      std::fill_n(values, selected.size(), std::string_view(block.bytes.data() + block.size, 0));
      table.bad.push_back(
          {static_cast<uint32_t>(r), "", "",
           "found " + std::to_string(row.fields) + " fields, expected " + std::to_string(columns_.size())});
      return;
    }
    for (size_t s = 0; s < selected.size(); ++s) {
      if (field(block, index, row, static_cast<uint32_t>(selected[s]), values[s])) continue;
      table.bad.push_back({static_cast<uint32_t>(r), columns_[static_cast<size_t>(selected[s])], std::string(values[s]),
                           "text after the closing quote; inside quotes, write \"\" for a quote"});
      return;
    }
  }

  static void mark_unclosed(size_t selected, FieldTable& table) {
    const auto last = static_cast<uint32_t>(table.rows - 1);
    if (!table.bad.empty() && table.bad.back().row == last) table.bad.pop_back();
    std::string_view* values = table.values.data() + last * selected;
    for (size_t s = 0; s < selected; ++s) values[s] = values[s].substr(0, 0);
    table.bad.push_back({last, "", "", "a quote is opened and never closed", true});
  }

  void mark_overlong(const RawBlock& block, FieldTable& table) const {
    table.rows = 1;
    table.row_lines.clear();
    table.values.assign(table.columns, std::string_view(block.bytes.data() + block.size, 0));
    table.bad.push_back({0, "", "",
                         "a record longer than " + std::to_string(kLongestRecord >> 20) + " MiB begins with '" +
                             shown_value({block.bytes.data(), block.size}) + "'; is a quote left open?",
                         true});
  }

  static void number_lines(const RawBlock& block, const CsvIndex& index, FieldTable& table) {
    table.row_lines.clear();
    const bool ends_open = block.size > 0 && block.bytes[block.size - 1] != '\n';
    if (static_cast<size_t>(index.lines + ends_open) == table.rows) return;
    uint32_t line = 0;
    size_t at = 0;
    for (const auto& row : index.rows) {
      line += static_cast<uint32_t>(std::count(block.bytes.data() + at, block.bytes.data() + row.start, '\n'));
      table.row_lines.push_back(line);
      at = row.start;
    }
  }

  const std::string path_;
  CsvSyntax syntax_;
  const size_t block_bytes_;
  std::unique_ptr<ByteSource> source_;
  std::vector<std::string> columns_;
  std::vector<char> rest_;
  bool ended_ = false;
  bool stopped_ = false;  // after what is too long to be a row
  int64_t first_line_ = 1;
};

}  // namespace

/// Reads delimited text: a header line (unless the options name the columns), a byte order mark, LF or CRLF, quotes
/// as in RFC 4180. Empty lines are skipped, but in a file of one column, where they are rows with an empty value.
std::unique_ptr<Reader> open_csv(const std::string& path, const ReadOptions& options) {
  return std::make_unique<CsvReader>(path, options);
}

}  // namespace mtrank
