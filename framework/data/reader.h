#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mtrank {

/// How files are read, whatever they hold.
struct ReadOptions {
  std::string format;                      ///< a row of readers.def; empty: by the ending of the name
  char delimiter = 0;                      ///< 0: the format's own
  bool trim = false;                       ///< blanks and tabs around a value are not part of it
  std::vector<std::string> columns;        ///< names; empty: the header line tells them
  bool skip_header = false;                ///< with `columns`: there is a header line all the same
  size_t block_bytes = 256 << 10;          ///< how much uncompressed text is handled at a time
  const char* format_key = "data.format";  ///< where the user says the format, for messages
};

/// A piece of a file that holds whole rows.
struct RawBlock {
  std::vector<char> bytes;  ///< `size` bytes and kTextPadding more
  size_t size = 0;
  bool overlong = false;  ///< holds the beginning of a row that is too long to be one
};

/// A row that cannot be used, in the user's words.
struct BadRow {
  uint32_t row = 0;    ///< in its block
  std::string column;  ///< empty: the row as a whole
  std::string value;
  std::string problem;  ///< "found 3 fields, expected 5"
  bool stops = false;   ///< always an error: rows that follow are part of it, and nobody knows how many
};

/// The beginning of a value for a message: one line, whatever it holds.
std::string shown_value(std::string_view value);

/// The values of some columns of a block's rows. Each can be read 8 bytes past its end.
struct FieldTable {
  size_t rows = 0, columns = 0;
  std::vector<std::string_view> values;  ///< [rows, columns]
  std::vector<BadRow> bad;               ///< in order of rows; their values are empty
  std::vector<uint32_t> row_lines;       ///< line of each row within the block; empty: row r is on line r
  int64_t lines = 0;                     ///< lines of the block

  int64_t line(size_t row) const { return row_lines.empty() ? static_cast<int64_t>(row) : row_lines[row]; }
};

/// Reads one file. `next` is called by one thread at a time, `parse` by any number.
class Reader {
 public:
  virtual ~Reader() = default;
  /// Column names, from the file or the options.
  virtual const std::vector<std::string>& columns() const = 0;
  /// Number of the line after the header, counted from 1.
  virtual int64_t first_line() const = 0;
  /// The next rows of the file; false after the last.
  virtual bool next(RawBlock& block) = 0;
  /// Cuts a block into rows and values of `selected` columns (positions in `columns()`). Values point into the block.
  virtual void parse(RawBlock& block, const std::vector<int>& selected, FieldTable& table) const = 0;
};

/// Throws ConfigError for an unknown format, DataError when the file cannot be read.
std::unique_ptr<Reader> open_reader(const std::string& path, const ReadOptions& options);

/// Positions of `wanted` in the columns of a reader. Throws DataError naming file, column and the nearest name.
std::vector<int> select_columns(const std::string& path, const Reader& reader, const std::vector<std::string>& wanted);

/// The format `options` or the name's ending says: a name of readers.def. Throws ConfigError.
std::string format_of(const std::string& path, const ReadOptions& options);

}  // namespace mtrank
