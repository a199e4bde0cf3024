#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mtrank {

/// How the text of a CSV file is cut into fields (RFC 4180). A quote opens a quoted field only where a field begins
/// (after blanks, with `trim`); elsewhere it is a character like any other. Inside, two quotes stand for one.
struct CsvSyntax {
  char delimiter = ',';
  bool trim = false;         ///< blanks and tabs around a field are not part of it
  bool blank_lines = false;  ///< an empty line is a row: of one empty field
};

/// Text handed to these functions can be read this many bytes past its end.
constexpr size_t kTextPadding = 64;

/// The end of the last whole record in `text`, which begins at a record: one past its newline; 0 when there is none.
size_t last_record_end(const char* text, size_t size, const CsvSyntax& syntax);

/// Where the fields of some records are.
struct CsvIndex {
  struct Row {
    uint32_t start;  ///< of the record, in the text
    uint32_t first;  ///< its first field
    uint32_t fields;
  };
  std::vector<uint32_t> ends;  ///< of every field: the position of its delimiter or newline
  std::vector<Row> rows;       ///< empty lines are rows only with `blank_lines`
  int64_t lines = 0;           ///< newlines, those inside quotes counted
  bool unclosed = false;       ///< the text ends inside quotes, in the last row
};

/// Indexes whole records; the last one may lack its newline. `size` < 2^32.
void index_records(const char* text, size_t size, const CsvSyntax& syntax, CsvIndex& index);

/// Bit i of each mask: byte i of a run of 64 is this character.
struct CsvMasks {
  uint64_t delimiters, newlines, quotes;
};
/// Classifies 64 * `chunks` bytes with the widest instructions there are.
void classify_text(const char* text, size_t chunks, char delimiter, CsvMasks* masks);

}  // namespace mtrank
