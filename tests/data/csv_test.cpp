#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "framework/core/error.h"
#include "framework/core/isa.h"
#include "framework/data/csv_text.h"
#include "framework/data/scan.h"
#include "tests/data/data_testing.h"

namespace mtrank {
namespace {

using Rows = std::vector<std::vector<std::string>>;

/// What a scan delivers: "line|field|field" a row, or "line! problem".
std::vector<std::string> scan(const std::string& path, const ReadOptions& options, int threads,
                              const std::vector<std::string>& columns) {
  std::vector<std::string> out;
  FileScan({path}, options, columns)
      .run(
          threads, [](int, ScanBlock&) {},
          [&](int, ScanBlock& block) {
            auto bad = block.table.bad.begin();
            for (size_t r = 0; r < block.table.rows; ++r) {
              EXPECT_EQ(block.first_row + static_cast<int64_t>(r), static_cast<int64_t>(out.size()));
              std::string text = std::to_string(block.line(r));
              if (bad != block.table.bad.end() && bad->row == r) {
                text += "! " + bad++->problem;
              } else {
                for (size_t c = 0; c < columns.size(); ++c)
                  text += "|" + std::string(block.table.values[r * columns.size() + c]);
              }
              out.push_back(text);
            }
            return true;
          });
  return out;
}

TEST(Csv, ReadsWhatPythonReads) {
  std::ifstream file(std::string(MTRANK_SOURCE_DIR) + "/tests/golden/csv.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_GT(cases.size(), 50u);
  TempDir folder;
  for (const auto& c : cases) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const auto path = folder.write("x.csv", c["text"].get<std::string>());
    ReadOptions options;
    options.delimiter = c["delimiter"].get<std::string>()[0];
    auto rows = c["rows"].get<Rows>();
    const auto columns = open_reader(path, options)->columns();
    EXPECT_EQ(columns, rows[0]);
    rows.erase(rows.begin());
    ReadOptions numbered = options;  // names may be the same twice
    for (size_t i = 0; i < columns.size(); ++i) numbered.columns.push_back("c" + std::to_string(i));
    numbered.skip_header = true;
    for (const size_t block : {16u, 64u, 100u, 1u << 18}) {
      numbered.block_bytes = block;
      const auto found = scan(path, numbered, 1 + static_cast<int>(block % 3), numbered.columns);
      ASSERT_EQ(found.size(), rows.size());
      for (size_t r = 0; r < rows.size(); ++r) {
        std::string text;
        for (const auto& field : rows[r]) text += "|" + field;
        EXPECT_EQ(found[r].substr(found[r].find('|')), text);
      }
    }
  }
}

/// The rules of csv_text.h, one character at a time.
std::vector<std::string> slow_reader(const std::string& text, char delimiter, bool trim, size_t columns) {
  enum { start, plain, quoted, after_quote, junk } state = start;
  std::vector<std::string> out;
  std::vector<std::string> fields(1);
  bool bad_quote = false, began = false;
  int64_t line = 1, row_line = 1;
  const auto blank = [&](char c) { return trim && (c == ' ' || c == '\t') && c != delimiter; };
  const auto end_field = [&](bool last) {
    std::string& f = fields.back();
    const bool was_plain = state == start || state == plain;
    if (last && was_plain && !f.empty() && f.back() == '\r') f.pop_back();
    while (was_plain && !f.empty() && blank(f.back())) f.pop_back();
    while (was_plain && !f.empty() && blank(f.front())) f.erase(0, 1);
    if (state == junk) bad_quote = true;
    state = start;
    if (!last) fields.emplace_back();
  };
  const auto end_row = [&](bool unclosed) {
    const std::string head = std::to_string(row_line);
    const bool only_cr = fields.size() == 1 && (fields[0] == "\r" || fields[0].empty()) && state <= plain && !began;
    end_field(true);
    if (!only_cr || columns == 1) {
      std::string all = head;
      for (const auto& f : fields) all += "|" + f;
      if (unclosed)
        all = head + "! a quote is opened and never closed";
      else if (fields.size() != columns)
        all = head + "! found " + std::to_string(fields.size()) + " fields, expected " + std::to_string(columns);
      else if (bad_quote)
        all = head + "! text after the closing quote; inside quotes, write \"\" for a quote";
      out.push_back(all);
    }
    fields.assign(1, "");
    bad_quote = began = false;
    row_line = line;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (state == quoted) {
      if (c == '"')
        state = after_quote;
      else
        fields.back() += c;
    } else if (c == delimiter) {
      began = true;
      end_field(false);
    } else if (c == '\n') {
      end_row(false);
    } else if (c == '"' && state == after_quote) {
      fields.back() += '"';
      state = quoted;
    } else if (c == '"' && state == start) {
      began = true;
      fields.back().clear();
      state = quoted;
    } else if (state == after_quote || state == junk) {
      const bool ends = c == '\r' && (i + 1 == text.size() || text[i + 1] == '\n');
      if (!(blank(c) && state == after_quote) && !(ends && state == after_quote)) state = junk;
      if (blank(c) && state == after_quote) {  // only blanks may follow, up to the end of the field
        size_t j = i;
        while (j < text.size() && blank(text[j])) ++j;
        const bool cr = j < text.size() && text[j] == '\r' && (j + 1 == text.size() || text[j + 1] == '\n');
        if (j < text.size() && text[j] != delimiter && text[j] != '\n' && !cr) state = junk;
        i = j - 1;
      }
    } else {
      fields.back() += c;
      if (!(state == start && blank(c))) state = plain, began = began || (c != '\r');
      if (trim && blank(c)) began = true;
    }
  }
  if (!text.empty() && (text.back() != '\n' || state == quoted)) end_row(state == quoted);
  return out;
}

TEST(Csv, FuzzAgreesWithASlowReader) {
  std::mt19937 random(7);
  TempDir folder;
  const Isa best = isa();
  for (int round = 0; round < 500; ++round) {
    const std::string alphabet = round % 3 == 0 ? "a,\"\n" : round % 3 == 1 ? "abcd,,,\n\"\r " : "abcdefgh, \t\"\n\r";
    const bool trim = round % 2;
    std::string text;
    const size_t size = random() % (round % 10 == 0 ? 3000 : 200);
    while (text.size() < size) text += alphabet[random() % alphabet.size()];
    const auto path = folder.write("x.csv", text);
    ReadOptions options;
    options.trim = trim;
    options.columns = {"a", "b"};
    if (round % 5 == 0) options.columns = {"a"};
    options.block_bytes = 16 + random() % 100;
    set_isa(static_cast<Isa>(round % (static_cast<int>(best) + 1)));
    const auto expected = slow_reader(text, ',', trim, options.columns.size());
    EXPECT_EQ(scan(path, options, 1 + round % 3, options.columns), expected) << "round " << round << "\n" << text;
    if (::testing::Test::HasFailure()) break;
  }
  set_isa(best);
}

TEST(Csv, ABlankLineIsARowWhereThereIsOneColumn) {
  TempDir folder;
  ReadOptions options;
  EXPECT_EQ(scan(folder.write("one.csv", "u\na\n\n\r\nb"), options, 1, {"u"}),
            (std::vector<std::string>{"2|a", "3|", "4|", "5|b"}));
  EXPECT_EQ(scan(folder.write("two.csv", "u,v\na,b\n\n\r\nb,c\n"), options, 1, {"u"}),
            (std::vector<std::string>{"2|a", "5|b"}));
}

TEST(Csv, EveryInstructionSetFindsTheSameCharacters) {
  const Isa best = isa();
  std::mt19937 random(3);
  std::string text(64 * 9 + kTextPadding, '\0');
  for (char& c : text) c = static_cast<char>(random() % 4 == 0 ? ",\n\"\x01"[random() % 4] : random());
  std::vector<CsvMasks> expected(9);
  for (size_t i = 0; i < 64 * 9; ++i) {
    expected[i / 64].delimiters |= uint64_t{text[i] == ','} << (i % 64);
    expected[i / 64].newlines |= uint64_t{text[i] == '\n'} << (i % 64);
    expected[i / 64].quotes |= uint64_t{text[i] == '"'} << (i % 64);
  }
  for (int set = 0; set <= static_cast<int>(best); ++set) {
    set_isa(static_cast<Isa>(set));
    std::vector<CsvMasks> found(9);
    classify_text(text.data(), 9, ',', found.data());
    for (size_t i = 0; i < 9; ++i) {
      EXPECT_EQ(found[i].delimiters, expected[i].delimiters) << isa_name(isa()) << " " << i;
      EXPECT_EQ(found[i].newlines, expected[i].newlines) << isa_name(isa()) << " " << i;
      EXPECT_EQ(found[i].quotes, expected[i].quotes) << isa_name(isa()) << " " << i;
    }
  }
  set_isa(best);
}

TEST(Csv, ByteOrderMarkIsSkippedAndUtf16IsRefused) {
  TempDir folder;
  ReadOptions options;
  EXPECT_EQ(open_reader(folder.write("a.csv",
                                     "\xef\xbb\xbf"
                                     "a,b\n1,2\n"),
                        options)
                ->columns(),
            (std::vector<std::string>{"a", "b"}));
  try {
    open_reader(folder.write("b.csv", std::string("\xff\xfe"
                                                  "a\0,\0",
                                                  6)),
                options);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("b.csv: is UTF-16"));
  }
}

TEST(Csv, TrimTakesBlanksOffBothSides) {
  TempDir folder;
  ReadOptions options;
  options.trim = true;
  const auto path = folder.write("a.csv", "a, b\t,c \n 1 , \"2, 3\" ,\t4\n");
  EXPECT_EQ(scan(path, options, 1, {"a", "b", "c"}), (std::vector<std::string>{"2|1|2, 3|4"}));
}

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Csv, EmptyLinesBeforeTheHeaderAreSkippedHoweverMany) {
  TempDir folder;
  ReadOptions options;
  options.block_bytes = 64;
  for (const char* end : {"\n", "\r\n"}) {
    std::string empty;
    for (int i = 0; i < 1000; ++i) empty += end;
    const auto reader = open_reader(folder.write("a.csv", empty + "a,b\n1,2\n"), options);
    EXPECT_EQ(reader->columns(), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(reader->first_line(), 1002);
    const auto bad = folder.write("c.csv", empty + "a,\"b\"c\n1,2\n");
    EXPECT_EQ(message([&] { open_reader(bad, options); }), bad + ":1001: text after the closing quote of column 2");
    const auto none = folder.write("b.csv", empty);
    EXPECT_EQ(message([&] { open_reader(none, options); }),
              none + ": expected a header line with the names of the columns");
  }
}

TEST(Csv, MissingColumnsAreNamedWithTheNearest) {
  TempDir folder;
  const auto path = folder.write("a.csv", "user_id,video_id\n1,2\n");
  EXPECT_EQ(message([&] {
              scan(path, {}, 1, {"user_id", "vidio_id"});
            }),
            path + ": column 'vidio_id' is not in the file; did you mean 'video_id'?");
  EXPECT_EQ(message([&] { scan(path, {}, 1, {"price"}); }),
            path + ": column 'price' is not in the file; it has 2 columns: user_id, video_id");
  const auto spaces = folder.write("c.csv", "a, b\t,\t, c\n1,2,3,4\n");
  EXPECT_EQ(message([&] { scan(spaces, {}, 1, {"b"}); }),
            spaces + ": column 'b' is not in the file, but ' b\t' is: data.trim takes spaces off");
  EXPECT_EQ(message([&] { scan(spaces, {}, 1, {"d"}); }),
            spaces + ": column 'd' is not in the file; it has 4 columns: a,  b\t, \t,  c");
  const auto semicolons = folder.write("d.csv", "a;b;c\n1;2;3\n");
  EXPECT_EQ(message([&] { scan(semicolons, {}, 1, {"b"}); }),
            semicolons + ": column 'b' is not in the file, whose only column is 'a;b;c': see data.delimiter");
  const auto returns = folder.write("e.csv", "a,b\r1,2\r");
  EXPECT_EQ(message([&] { scan(returns, {}, 1, {"b"}); }),
            returns +
                ": column 'b' is not in the file, whose lines end in carriage returns alone: tr '\\r' '\\n' "
                "makes them lines");
  const auto twice = folder.write("b.csv", "a,a\n1,2\n");
  EXPECT_EQ(message([&] { scan(twice, {}, 1, {"a"}); }), twice + ": column 'a' is in the file twice");
}

TEST(Csv, FilesThatAreNoneAreRefused) {
  TempDir folder;
  EXPECT_THAT(message([&] { scan(folder.path("none.csv"), {}, 1, {"a"}); }),
              ::testing::HasSubstr("none.csv: cannot be opened: No such file"));
  EXPECT_THAT(message([&] { scan(folder.write("e.csv", ""), {}, 1, {"a"}); }), ::testing::HasSubstr("e.csv: is empty"));
  std::filesystem::create_directories(folder.path("d.csv"));
  EXPECT_THAT(message([&] { scan(folder.path("d.csv"), {}, 1, {"a"}); }), ::testing::HasSubstr("is a directory"));
  EXPECT_THAT(message([&] { format_of("log.txt", {}); }), ::testing::HasSubstr("set data.format to one of: csv, tsv"));
  EXPECT_EQ(format_of("x.tsv.zst", {}), "tsv");
}

TEST(Csv, AnUnclosedQuoteIsFoundInAFileOfAnySize) {
  TempDir folder;
  std::string text = "a,b\n1,2\n3,\"4\n";
  while (text.size() < (17u << 20)) text += "5,6,7,8,9,10,11,12\n";
  const auto path = folder.write("big.csv", text);
  EXPECT_THAT(
      scan(path, {}, 2, {"a"}),
      ::testing::ElementsAre("2|1", ::testing::AllOf(::testing::StartsWith("3! a record longer than 16 MiB begins "
                                                                           "with '3,\"4\\n5,6"),
                                                     ::testing::EndsWith("is a quote left open?"))));
}

TEST(Csv, LineNumbersGoOnOverFilesAndQuotedNewlines) {
  TempDir folder;
  const auto a = folder.write("a.csv", "x\n1\n\n\"2\n2\"\n3\n");
  const auto b = folder.write("b.csv", "x\n4\n");
  std::vector<std::string> seen;
  ReadOptions options;
  options.block_bytes = 16;
  FileScan({a, b}, options, {"x"})
      .run(
          3, [](int, ScanBlock&) {},
          [&](int, ScanBlock& block) {
            for (size_t r = 0; r < block.table.rows; ++r)
              seen.push_back(std::to_string(block.first_row + static_cast<int64_t>(r)) + " " +
                             std::filesystem::path(block.path).filename().string() + ":" +
                             std::to_string(block.line(r)));
            return true;
          });
  EXPECT_EQ(seen, (std::vector<std::string>{"0 a.csv:2", "1 a.csv:3", "2 a.csv:4", "3 a.csv:6", "4 b.csv:2"}));
}

}  // namespace
}  // namespace mtrank
