#include "framework/data/reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "framework/config/choices.h"
#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/data/mtb_directory.h"

namespace mtrank {

#define MTRANK_READER(name, ending, delimiter, open) \
  std::unique_ptr<Reader> open(const std::string&, const ReadOptions&);
#include "framework/data/readers.def"
#undef MTRANK_READER

namespace {

struct Format {
  std::string_view name, ending;
  char delimiter;
  std::unique_ptr<Reader> (*open)(const std::string&, const ReadOptions&);
};

constexpr Format kFormats[] = {
#define MTRANK_READER(name, ending, delimiter, open) {#name, ending, delimiter, open},
#include "framework/data/readers.def"
#undef MTRANK_READER
};

std::string known_formats() { return fmt::format("{}", fmt::join(file_formats(), ", ")); }

const Format& find_format(const std::string& path, const ReadOptions& options) {
  std::string_view name = path;
  for (const std::string_view ending : {".gz", ".zst"})
    if (name.ends_with(ending)) name.remove_suffix(ending.size());
  for (const auto& format : kFormats)
    if (options.format.empty() ? name.ends_with(format.ending) : options.format == format.name) return format;
  if (!options.format.empty())
    throw ConfigError("format '" + options.format + "' is not known; it is one of: " + known_formats());
  if (disk::is_directory(path) || path.ends_with(".mtb"))
    throw ConfigError(path +
                      (is_mtb_directory(path) || path.ends_with(".mtb")
                           ? ": is converted data; name the raw files (only training reads converted data: data.mtb)"
                           : ": is a directory; name its files, or a pattern such as " + path + "/*.csv"));
  throw ConfigError(path + ": the name does not tell the format; set " + options.format_key +
                    " to one of: " + known_formats());
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string_view without_spaces(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  text.remove_suffix(text.size() - 1 - text.find_last_not_of(kBlanks));
  return text;
}

std::string missing_column(const std::string& wanted, const std::vector<std::string>& columns) {
  std::string text = "column '" + wanted + "' is not in the file";
  for (const auto& column : columns)
    if (without_spaces(column) == wanted) return text + ", but '" + column + "' is: data.trim takes spaces off";
  for (const auto& column : columns)
    if (column.find('\r') != column.npos)
      return text + ", whose lines end in carriage returns alone: tr '\\r' '\\n' makes them lines";
  if (columns.size() == 1) return text + ", whose only column is '" + shown_value(columns[0]) + "': see data.delimiter";
  size_t best = std::min(std::max<size_t>(2, wanted.size() / 3) + 1, wanted.size());
  std::string nearest;
  for (const auto& column : columns)
    if (const size_t d = edit_distance(wanted, column); d < best) best = d, nearest = column;
  if (!nearest.empty()) return text + "; did you mean '" + nearest + "'?";
  text += "; it has " + std::to_string(columns.size()) + " columns:";
  for (size_t i = 0; i < columns.size() && i < 12; ++i) text += (i ? ", " : " ") + columns[i];
  return text + (columns.size() > 12 ? ", ..." : "");
}

}  // namespace

const std::vector<std::string>& file_formats() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Format& format : kFormats) list.emplace_back(format.name);
    return list;
  }();
  return names;
}

std::string shown_value(std::string_view value) {
  constexpr size_t kMost = 80;
  std::string text;
  for (const char c : value.substr(0, kMost)) {
    if (c == '\n' || c == '\r' || c == '\t')
      text += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    else
      text += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? '?' : c;
  }
  return value.size() > kMost ? text + "..." : text;
}

std::string format_of(const std::string& path, const ReadOptions& options) {
  return std::string(find_format(path, options).name);
}

std::unique_ptr<Reader> open_reader(const std::string& path, const ReadOptions& options) {
  const Format& format = find_format(path, options);
  ReadOptions own = options;
  if (own.delimiter == 0) own.delimiter = format.delimiter;
  return format.open(path, own);
}

std::vector<int> select_columns(const std::string& path, const Reader& reader, const std::vector<std::string>& wanted) {
  const auto& columns = reader.columns();
  std::vector<int> selected;
  for (const auto& name : wanted) {
    const auto at = std::find(columns.begin(), columns.end(), name);
    if (at == columns.end()) throw DataError(path + ": " + missing_column(name, columns));
    if (std::find(at + 1, columns.end(), name) != columns.end())
      throw DataError(path + ": column '" + name + "' is in the file twice");
    selected.push_back(static_cast<int>(at - columns.begin()));
  }
  return selected;
}

}  // namespace mtrank
