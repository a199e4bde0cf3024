#pragma once

#include <memory>
#include <string>

#include "framework/data/reader.h"

namespace mtrank {

/// Reads delimited text: a header line (unless the options name the columns), a byte order mark, LF or CRLF, quotes
/// as in RFC 4180. Empty lines are skipped, but in a file of one column, where they are rows with an empty value.
std::unique_ptr<Reader> open_csv(const std::string& path, const ReadOptions& options);

}  // namespace mtrank
