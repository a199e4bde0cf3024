#include "framework/data/mtb_directory.h"

#include <fmt/format.h>

#include <numeric>

#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/core/hash.h"
#include "framework/core/json.h"
#include "framework/data/byte_stream.h"

namespace mtrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr uint64_t kMostManifest = uint64_t{1} << 30;
constexpr uint64_t kMostLearned = uint64_t{64} << 30;
constexpr Part kParts[] = {Part::train, Part::valid, Part::test};

std::string manifest_path(const std::string& folder) { return folder + "/manifest.json"; }
std::string learned_path(const std::string& folder) { return folder + "/learned"; }

std::string learned_bytes(const MtbDirectory& directory) {
  ByteWriter out;
  out.put_text(statistics_to_bytes(directory.statistics));
  for (const auto& part : directory.parts) {
    out.put(static_cast<uint8_t>(part.has_value()));
    if (part) put_summary(out, part->summary);
  }
  out.put(static_cast<uint64_t>(directory.first_rows.size()));
  for (const auto& row : directory.first_rows) {
    out.put(static_cast<uint64_t>(row.size()));
    for (const auto& value : row) out.put_text(value);
  }
  return out.bytes();
}

void parse_learned(const std::string& bytes, const std::string& path, MtbDirectory& directory) {
  ByteParser in(bytes, path);
  directory.statistics = statistics_from_bytes(in.get_text(), path);
  for (auto& part : directory.parts) {
    if ((in.get<uint8_t>() != 0) != part.has_value()) throw FileError(path + ": has other parts than the manifest");
    if (part) part->summary = get_summary(in);
  }
  directory.first_rows.resize(in.get_count(8));
  for (auto& row : directory.first_rows) {
    row.resize(in.get_count(8));
    for (auto& value : row) value = in.get_text();
  }
  if (!in.at_end()) throw FileError(path + ": has bytes after its end");
}

Json part_json(const MtbDirectory::PartFiles& part) {
  Json j{{"rows", part.summary.rows}, {"shards", Json::array()}, {"sources", Json::array()}};
  for (const MtbShardInfo& s : part.shards)
    j["shards"].push_back({{"file", s.file}, {"bytes", s.bytes}, {"hash", hex64(s.hash)}, {"rows", s.rows}});
  for (const FileStamp& s : part.sources)
    j["sources"].push_back({{"path", s.path}, {"size", s.size}, {"mtime_ns", s.mtime_ns}});
  return j;
}

/// A name in the directory, not a path out of it.
std::string file_name(const Json& json) {
  auto name = json.get<std::string>();
  if (name.empty() || name[0] == '.' || name.find('/') != std::string::npos)
    throw FileError("'" + name + "' cannot name a shard");
  return name;
}

uint64_t hash_in(const Json& json) {
  uint64_t hash = 0;
  if (!parse_hex64(json.get<std::string>(), &hash)) throw FileError("a hash is malformed");
  return hash;
}

MtbDirectory::PartFiles parse_part(const Json& json) {
  MtbDirectory::PartFiles part;
  for (const Json& s : json.at("shards"))
    part.shards.push_back(
        {file_name(s.at("file")), s.at("bytes").get<uint64_t>(), hash_in(s.at("hash")), s.at("rows").get<int64_t>()});
  for (const Json& s : json.at("sources"))
    part.sources.push_back(
        {s.at("path").get<std::string>(), s.at("size").get<int64_t>(), s.at("mtime_ns").get<int64_t>()});
  return part;
}

/// The manifest without the line that holds its own hash.
uint64_t hash_of(Json manifest) {
  manifest.erase("hash");
  return xxh64(manifest.dump());
}

Json read_manifest(const std::string& path) {
  Json manifest = parse_json<Json>(disk::read_all(path, kMostManifest));
  if (!manifest.is_object() || manifest.value("kind", "") != "mtrank converted data")
    throw FileError("is not the manifest of a converted directory");
  if (manifest.at("version") != kVersion)
    throw FileError("has version " + manifest.at("version").dump() + ", this program reads " +
                    std::to_string(kVersion));
  if (hash_in(manifest.at("hash")) != hash_of(manifest)) throw FileError("is damaged or was edited: convert again");
  return manifest;
}

MtbDirectory parse_manifest(const Json& manifest) {
  MtbDirectory directory;
  for (const auto& [name, value] : manifest.at("made_from").items()) directory.fields.push_back({name, value.dump()});
  for (const auto& [name, value] : manifest.at("parts").items())
    for (const Part part : kParts)
      if (name == part_name(part)) directory.parts[static_cast<size_t>(part)] = parse_part(value);
  return directory;
}

}  // namespace

bool is_mtb_directory(const std::string& folder) { return disk::is_file(manifest_path(folder)); }

void write_mtb_directory(const std::string& folder, const MtbDirectory& directory) {
  const std::string learned = learned_bytes(directory);
  const auto write = [](const std::string& path, const std::string& bytes) {
    disk::Output file(path);
    file.write(bytes);
    file.sync();
    file.close();
  };
  write(learned_path(folder), learned);
  Json manifest{{"kind", "mtrank converted data"}, {"version", kVersion}, {"program", MTRANK_VERSION}};
  manifest["parts"] = Json::object();
  for (const Part part : kParts)
    if (const auto& files = directory.parts[static_cast<size_t>(part)])
      manifest["parts"][part_name(part)] = part_json(*files);
  manifest["learned"] = {{"bytes", learned.size()}, {"hash", hex64(xxh64(learned))}};
  manifest["made_from"] = Json::object();
  for (const DataField& field : directory.fields) manifest["made_from"][field.name] = Json::parse(field.value);
  manifest["hash"] = hex64(hash_of(manifest));
  write(manifest_path(folder), manifest.dump(1) + "\n");
}

MtbDirectory read_mtb_directory(const std::string& folder) {
  if (!is_mtb_directory(folder))
    throw FileError(folder + " holds no converted data (no manifest.json); `mtrank convert CONFIG --out DIR` makes it");
  try {
    const Json manifest = read_manifest(manifest_path(folder));
    MtbDirectory directory = parse_manifest(manifest);
    const std::string learned = disk::read_all(learned_path(folder), kMostLearned);
    if (learned.size() != manifest.at("learned").at("bytes").get<uint64_t>() ||
        xxh64(learned) != hash_in(manifest.at("learned").at("hash")))
      throw FileError("does not fit its file `learned`, which is damaged or from elsewhere: convert again");
    parse_learned(learned, learned_path(folder), directory);
    return directory;
  } catch (const Json::exception&) {
    throw FileError(manifest_path(folder) + ": is damaged: convert again");
  } catch (const FileError& error) {
    throw FileError(manifest_path(folder) + ": " + error.what());
  }
}

void require_same_fields(const MtbDirectory& directory, const std::string& folder, const DatasetSpec& spec) {
  const std::string difference = first_difference(directory.fields, data_fields(spec));
  if (!difference.empty())
    throw DataError(folder + " was converted with another config: " + difference + ". Convert again, or undo that");
  for (const Part part : kParts)
    if (!spec.parts[static_cast<size_t>(part)].files.empty() && !directory.parts[static_cast<size_t>(part)])
      throw DataError(folder + " has no " + part_name(part) + " rows, but the config has a data." + part_name(part) +
                      ". Convert again, or remove that");
}

std::string describe_mtb_directory(const std::string& folder) {
  const MtbDirectory directory = read_mtb_directory(folder);
  std::string text = fmt::format("converted data of {} features, labels and settings\n", directory.fields.size());
  std::string first;
  for (const Part part : kParts) {
    const auto& files = directory.parts[static_cast<size_t>(part)];
    if (!files) continue;
    const uint64_t bytes = std::accumulate(files->shards.begin(), files->shards.end(), uint64_t{0},
                                           [](uint64_t sum, const MtbShardInfo& s) { return sum + s.bytes; });
    text += fmt::format("{}: {} rows in {} files, {} bytes, {:.1f} a row\n", part_name(part), files->summary.rows,
                        files->shards.size(), bytes,
                        static_cast<double>(bytes) / static_cast<double>(std::max<int64_t>(1, files->summary.rows)));
    for (const FileStamp& source : files->sources) text += fmt::format("  from {}\n", source.path);
    if (files->sources.empty()) text += "  synthetic\n";
    if (first.empty() && !files->shards.empty()) first = files->shards[0].file;
  }
  return first.empty() ? text : text + first + ": " + describe_mtb(folder + "/" + first);
}

}  // namespace mtrank
