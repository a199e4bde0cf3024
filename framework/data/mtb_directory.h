#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "framework/data/data_fields.h"
#include "framework/data/files.h"
#include "framework/data/mtb_file.h"
#include "framework/data/statistics.h"

namespace mtrank {

/// A directory of `mtrank convert`: `manifest.json` (what the rows were made from, the shards of every part,
/// checksums), `learned` (statistics, summaries, first rows) and the shards.
struct MtbDirectory {
  struct PartFiles {
    std::vector<MtbShardInfo> shards;
    EncodedSummary summary;
    std::vector<FileStamp> sources;  ///< the files it was converted from; none: synthetic
  };
  std::vector<DataField> fields;
  Statistics statistics;                             ///< as the config's transforms take them
  std::vector<std::vector<std::string>> first_rows;  ///< see first_rows()
  std::array<std::optional<PartFiles>, 3> parts;     ///< by Part
};

/// Writes `learned`, then `manifest.json`, beside the shards.
void write_mtb_directory(const std::string& folder, const MtbDirectory& directory);
/// Throws FileError when it is no such directory, or damaged. Shards are not opened.
MtbDirectory read_mtb_directory(const std::string& folder);
bool is_mtb_directory(const std::string& folder);

/// Throws DataError naming the first field that differs from the config's.
void require_same_fields(const MtbDirectory& directory, const std::string& folder, const DatasetSpec& spec);

/// Parts, rows, bytes, shards and columns, for people.
std::string describe_mtb_directory(const std::string& folder);

}  // namespace mtrank
