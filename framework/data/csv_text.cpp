#include "framework/data/csv_text.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mtrank {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// Whether a field begins at `at`, of a text that begins with a record.
bool field_begins(const char* text, size_t at, const CsvSyntax& syntax) {
  if (syntax.trim)
    while (at > 0 && is_blank(text[at - 1]) && text[at - 1] != syntax.delimiter) --at;
  return at == 0 || text[at - 1] == '\n' || text[at - 1] == syntax.delimiter;
}

size_t find(const char* text, size_t from, size_t size, char c) {
  if (from >= size) return size;
  const void* at = std::memchr(text + from, c, size - from);
  return at ? static_cast<size_t>(static_cast<const char*>(at) - text) : size;
}

/// One past the quote that closes the one before `at`, or `size` + 1 when none does.
size_t closing_quote(const char* text, size_t at, size_t size) {
  while (true) {
    at = find(text, at, size, '"');
    if (at == size) return size + 1;
    if (at + 1 == size || text[at + 1] != '"') return at + 1;
    at += 2;
  }
}

/// Where the characters of a record are, as the text is read.
enum class State { field_start, unquoted, quoted, quote_in_quoted };

/// Copies separators outside quotes from the masks to the index. The state after a chunk says all there is to know.
class Indexer {
 public:
  Indexer(const char* text, size_t size, const CsvSyntax& syntax, CsvIndex& index)
      : text_(text), size_(size), syntax_(syntax), index_(index) {}

  void run() {
    constexpr size_t kChunks = 64;
    CsvMasks masks[kChunks];
    reserve(size_);
    for (size_t at = 0; at < size_; at += 64 * kChunks) {
      const size_t chunks = std::min(kChunks, (size_ - at + 63) / 64);
      classify_text(text_ + at, chunks, syntax_.delimiter, masks);
      for (size_t i = 0; i < chunks; ++i) chunk(at + 64 * i, masks[i]);
    }
    finish();
  }

 private:
  void reserve(size_t bytes) {
    index_.ends.resize(bytes / 4 + 128);
    index_.rows.clear();
    index_.lines = 0;
  }

  void chunk(size_t base, CsvMasks m) {
    const size_t left = size_ - base;
    if (left < 64) {
      const uint64_t valid = (uint64_t{1} << left) - 1;
      m = {m.delimiters & valid, m.newlines & valid, m.quotes & valid};
    }
    index_.lines += std::popcount(m.newlines);
    if (m.quotes == 0) {
      if (state_ == State::quoted) return;
      emit(base, m.delimiters | m.newlines, m.newlines);
      state_ = last_is(m.delimiters | m.newlines, left) ? State::field_start : after_plain(base, left);
    } else if (!quoted_chunk(base, left, m)) {
      slow_chunk(base, std::min<size_t>(left, 64));
    }
  }

  static bool last_is(uint64_t mask, size_t left) { return mask >> (std::min<size_t>(left, 64) - 1) & 1; }

  /// Blanks before a quote belong to the start of a field when they are trimmed.
  State after_plain(size_t base, size_t left) const {
    if (syntax_.trim && field_begins(text_, base + std::min<size_t>(left, 64), syntax_)) return State::field_start;
    return State::unquoted;
  }

  /// The usual case: every quote opens a field, closes one, or is one of a pair. False when it is not so.
  bool quoted_chunk(size_t base, size_t left, const CsvMasks& m) {
    const bool starts_inside = state_ == State::quoted;
    uint64_t inside = m.quotes;  // becomes: an odd number of quotes up to and including this byte
    for (int shift = 1; shift < 64; shift *= 2) inside ^= inside << shift;
    if (starts_inside) inside = ~inside;
    const uint64_t separators = (m.delimiters | m.newlines) & ~inside;
    const uint64_t before = separators << 1 | (state_ == State::field_start);
    const uint64_t quote_before = m.quotes << 1 | (state_ == State::quote_in_quoted);
    if (m.quotes & inside & ~before & ~quote_before) return false;
    emit(base, separators, m.newlines & ~inside);
    if (last_is(inside, left))
      state_ = State::quoted;
    else if (last_is(m.quotes, left))
      state_ = State::quote_in_quoted;
    else
      state_ = last_is(separators, left) ? State::field_start : after_plain(base, left);
    return true;
  }

  void slow_chunk(size_t base, size_t length) {
    for (size_t i = base; i < base + length; ++i) {
      const char c = text_[i];
      if (state_ == State::quoted) {
        if (c == '"') state_ = State::quote_in_quoted;
      } else if (c == syntax_.delimiter || c == '\n') {
        emit(i, 1, c == '\n');
        state_ = State::field_start;
      } else if (c == '"' && state_ != State::unquoted) {
        state_ = State::quoted;  // a field begins, or the second of a pair
      } else if (!(state_ == State::field_start && syntax_.trim && is_blank(c))) {
        state_ = State::unquoted;
      }
    }
  }

  void emit(size_t base, uint64_t separators, uint64_t newlines) {
    const size_t before = used_;
    const int n = std::popcount(separators);
    if (used_ + 64 > index_.ends.size()) index_.ends.resize(2 * index_.ends.size());
    uint32_t* out = index_.ends.data() + used_;
    for (uint64_t bits = separators; bits; bits &= bits - 1)
      *out++ = static_cast<uint32_t>(base) + static_cast<uint32_t>(std::countr_zero(bits));
    used_ += static_cast<size_t>(n);
    for (; newlines; newlines &= newlines - 1) {
      const uint64_t below = newlines & (~newlines + 1);
      end_row(before + static_cast<size_t>(std::popcount(separators & (below - 1))) + 1);
    }
  }

  /// A record ends with the field before `field_end` in the list of ends.
  void end_row(size_t field_end) {
    const uint32_t end = index_.ends[field_end - 1];
    const bool empty = end == row_start_ || (end == row_start_ + 1 && text_[row_start_] == '\r');
    if (syntax_.blank_lines || !(empty && field_end == row_first_ + 1))
      index_.rows.push_back(
          {row_start_, static_cast<uint32_t>(row_first_), static_cast<uint32_t>(field_end - row_first_)});
    row_first_ = field_end;
    row_start_ = end + 1;
  }

  void finish() {
    index_.unclosed = state_ == State::quoted;
    if (row_start_ < size_) {
      emit(size_, 1, 1);
    }
    index_.ends.resize(used_);
  }

  const char* text_;
  const size_t size_;
  const CsvSyntax syntax_;
  CsvIndex& index_;
  State state_ = State::field_start;
  size_t used_ = 0;
  size_t row_first_ = 0;
  uint32_t row_start_ = 0;
};

}  // namespace

size_t last_record_end(const char* text, size_t size, const CsvSyntax& syntax) {
  std::vector<std::pair<size_t, size_t>> outside;  // stretches of text that are not inside quotes
  size_t begin = 0;
  for (size_t quote = find(text, 0, size, '"'); quote < size; quote = find(text, quote, size, '"')) {
    if (!field_begins(text, quote, syntax) || quote < begin) {
      ++quote;
      continue;
    }
    outside.emplace_back(begin, quote);
    begin = quote = closing_quote(text, quote + 1, size);
  }
  if (begin < size) outside.emplace_back(begin, size);
  for (; !outside.empty(); outside.pop_back()) {
    const auto [from, to] = outside.back();
    const void* newline = to > from ? memrchr(text + from, '\n', to - from) : nullptr;
    if (newline) return static_cast<size_t>(static_cast<const char*>(newline) - text) + 1;
  }
  return 0;
}

void index_records(const char* text, size_t size, const CsvSyntax& syntax, CsvIndex& index) {
  Indexer(text, size, syntax, index).run();
}

}  // namespace mtrank
