#include "framework/serving/bundle.h"

#include <cstdlib>

#include "framework/core/atomic_file.h"
#include "framework/core/error.h"
#include "framework/core/hash.h"
#include "framework/core/json.h"
#include "framework/serving/inspect.h"

namespace mtrank {
namespace {

using nlohmann::json;

constexpr int format_version = 1;
/// The oldest reader that understands what is written here.
constexpr int min_reader_version = 1;

constexpr std::string_view header_checksum_field = "\"checksum_header\":\"";
constexpr std::string_view blank_checksum = "0000000000000000";

struct Part {
  const char* name;
  std::string Bundle::*text;
};
constexpr Part parts[] = {{"graph", &Bundle::graph},          {"input", &Bundle::input},
                          {"features", &Bundle::features},    {"tasks", &Bundle::tasks},
                          {"outputs", &Bundle::outputs},      {"config", &Bundle::config},
                          {"provenance", &Bundle::provenance}};

/// The golden rows as tensors: their values may be any bytes, which JSON cannot hold.
struct GoldenTensors {
  std::string text;
  std::vector<int64_t> ends;

  explicit GoldenTensors(const GoldenRows& golden) {
    for (const auto& row : golden.rows) {
      MTRANK_ASSERT(row.size() == golden.columns.size());
      for (const std::string& value : row) {
        text += value;
        ends.push_back(static_cast<int64_t>(text.size()));
      }
    }
    MTRANK_ASSERT(golden.scores.size() == golden.rows.size() * golden.outputs.size());
  }
  void add_to(std::vector<TensorSource>& tensors, const GoldenRows& golden) const {
    const int64_t rows = static_cast<int64_t>(golden.rows.size());
    tensors.push_back({"golden.text", DType::u8, {static_cast<int64_t>(text.size())}, text.data()});
    tensors.push_back({"golden.ends", DType::i64, {rows, static_cast<int64_t>(golden.columns.size())}, ends.data()});
    tensors.push_back(
        {"golden.scores", DType::f32, {rows, static_cast<int64_t>(golden.outputs.size())}, golden.scores.data()});
  }
};

uint64_t hash_of(const TensorSource& tensor) {
  Xxh64 hash;
  write_tensor(tensor, [&](const void* data, size_t size) { hash.add(data, size); });
  return hash.value();
}

std::string checksums_json(const std::vector<TensorSource>& tensors) {
  json checksums = json::object();
  for (const TensorSource& tensor : tensors) checksums[tensor.name] = hex64(hash_of(tensor));
  return checksums.dump();
}

/// Where the 16 digits of the header's checksum stand. A text that stands inside a JSON string has its quotes escaped,
/// so only the field itself can match.
size_t header_checksum_at(std::string_view header) {
  const size_t at = header.find(header_checksum_field);
  return at == std::string_view::npos ? at : at + header_checksum_field.size();
}

Metadata metadata_of(const Bundle& bundle, const std::vector<TensorSource>& tensors) {
  Metadata metadata = {{"format", "mtrank"},
                       {"format_version", std::to_string(format_version)},
                       {"min_reader_version", std::to_string(min_reader_version)}};
  for (const Part& part : parts) metadata.emplace_back(part.name, bundle.*part.text);
  metadata.emplace_back("golden", json{{"columns", bundle.golden.columns}, {"outputs", bundle.golden.outputs}}.dump());
  metadata.emplace_back("checksums", checksums_json(tensors));
  metadata.emplace_back("checksum_header", blank_checksum);
  return metadata;
}

/// The metadata of a file that is a bundle, whose header is whole and which this reader understands.
class BundleHeader {
 public:
  explicit BundleHeader(const SafetensorsReader& file) : file_(file) {
    if (!file.metadata().count("format") || text("format") != "mtrank") {
      file.refuse("is a safetensors file, but not a bundle of mtrank");
    }
    check_version();
    std::string header = file.header();
    const size_t at = header_checksum_at(header);
    uint64_t expected = 0;
    if (at == std::string::npos || !parse_hex64(header.substr(at, 16), &expected)) {
      file.refuse("has no readable field 'checksum_header'");
    }
    header.replace(at, 16, blank_checksum);
    if (xxh64(header) != expected) file.refuse("is damaged: its header does not match field 'checksum_header'");
  }

  const std::string& text(const std::string& name) const {
    const auto found = file_.metadata().find(name);
    if (found == file_.metadata().end()) file_.refuse("has no metadata field '" + name + "'");
    return found->second;
  }

  json parsed(const std::string& name) const {
    json value = parse_json<json>(text(name));
    if (value.is_discarded()) file_.refuse("has a metadata field '" + name + "' that is not valid JSON");
    return value;
  }

  std::vector<std::string> strings(const std::string& name, const char* key) const {
    const json value = parsed(name);
    if (!value.is_object() || !value.contains(key) || !value[key].is_array()) {
      file_.refuse("has a metadata field '" + name + "' without the list '" + key + "'");
    }
    std::vector<std::string> list;
    for (const json& item : value[key]) {
      if (!item.is_string()) file_.refuse("has something else than texts in '" + name + "." + key + "'");
      list.push_back(item);
    }
    return list;
  }

 private:
  void check_version() const {
    const std::string& needed = text("min_reader_version");
    char* end = nullptr;
    const long version = std::strtol(needed.c_str(), &end, 10);
    if (end == needed.c_str() || *end != '\0' || version < 1) file_.refuse("has min_reader_version '" + needed + "'");
    if (version > format_version) {
      file_.refuse("needs a reader of version " + needed + "; this mtrank reads up to version " +
                   std::to_string(format_version) + ": use a newer one");
    }
  }

  const SafetensorsReader& file_;
};

class TensorMemory {
 public:
  void* add(size_t bytes) {
    const size_t rounded = (bytes + 63) / 64 * 64;
    blocks_.emplace_back(std::aligned_alloc(64, rounded == 0 ? 64 : rounded), &std::free);
    if (!blocks_.back()) throw ResourceError("not enough memory for a tensor of " + std::to_string(bytes) + " bytes");
    return blocks_.back().get();
  }

 private:
  std::vector<std::unique_ptr<void, decltype(&std::free)>> blocks_;
};

void read_tensors(const SafetensorsReader& file, const json& checksums, Bundle& bundle) {
  const auto memory = std::make_shared<TensorMemory>();
  for (const TensorEntry& entry : file.tensors()) {
    void* data = memory->add(entry.bytes());
    file.read(entry, data);
    const TensorSource& tensor = bundle.tensors.emplace_back(TensorSource{entry.name, entry.dtype, entry.shape, data});
    if (!checksums.is_object() || checksums.value(entry.name, json()) != hex64(hash_of(tensor))) {
      file.refuse("is damaged: tensor '" + entry.name + "' does not match its checksum");
    }
  }
  if (checksums.size() != file.tensors().size()) file.refuse("lacks a tensor that field 'checksums' names");
  bundle.memory = memory;
}

/// Takes the golden rows' tensors out of the bundle.
void read_golden(const SafetensorsReader& file, const BundleHeader& header, Bundle& bundle) {
  GoldenRows& golden = bundle.golden;
  golden.columns = header.strings("golden", "columns");
  golden.outputs = header.strings("golden", "outputs");
  const int64_t columns = static_cast<int64_t>(golden.columns.size());
  const int64_t rows = file.require("golden.ends", DType::i64, {-1, columns}).shape[0];
  const int64_t size = file.require("golden.text", DType::u8, {-1}).shape[0];
  file.require("golden.scores", DType::f32, {rows, static_cast<int64_t>(golden.outputs.size())});
  const char* text = static_cast<const char*>(bundle.find("golden.text")->data);
  const int64_t* ends = static_cast<const int64_t*>(bundle.find("golden.ends")->data);
  const float* scores = static_cast<const float*>(bundle.find("golden.scores")->data);
  if (columns == 0 && rows > 0) file.refuse("has golden rows without columns");
  int64_t at = 0;
  golden.rows.resize(static_cast<size_t>(rows));
  for (auto& row : golden.rows) {
    for (int64_t c = 0; c < columns; ++c, at = *ends++) {
      if (*ends < at || *ends > size) file.refuse("has a golden row that ends outside of tensor 'golden.text'");
      row.emplace_back(text + at, static_cast<size_t>(*ends - at));
    }
  }
  golden.scores.assign(scores, scores + static_cast<size_t>(rows) * golden.outputs.size());
  std::erase_if(bundle.tensors, [](const TensorSource& t) { return t.name.rfind("golden.", 0) == 0; });
}

void check_padding(const SafetensorsReader& file) {
  for (const TensorEntry& pad : file.padding()) {
    std::string bytes(pad.bytes(), 'x');
    file.read(pad, bytes.data());
    if (bytes.find_first_not_of('\0') != std::string::npos) file.refuse("is damaged: '" + pad.name + "' is not zero");
  }
}

std::string indented(const std::string& text) {
  std::string out = "  ";
  for (const char c : text) out += c == '\n' ? "\n  " : std::string(1, c);
  return out + "\n";
}

}  // namespace

const TensorSource* Bundle::find(std::string_view name) const {
  for (const TensorSource& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

void write_bundle(const std::string& path, const Bundle& bundle) {
  std::vector<TensorSource> tensors = bundle.tensors;
  const GoldenTensors golden(bundle.golden);
  golden.add_to(tensors, bundle.golden);
  std::string header = safetensors_header(tensors, metadata_of(bundle, tensors));
  const size_t at = header_checksum_at(header);
  header.replace(at, 16, hex64(xxh64(std::string_view(header).substr(8))));
  disk::require_space(disk::parent(path), header.size() + tensors_size(tensors), "the bundle " + path);
  AtomicFile file(path);
  file.write(header);
  write_tensors(tensors, [&](const void* data, size_t size) { file.write(data, size); });
  file.commit();
}

Bundle read_bundle(const std::string& path) {
  const SafetensorsReader file(path);
  const BundleHeader header(file);
  Bundle bundle;
  for (const Part& part : parts) bundle.*part.text = header.text(part.name);
  read_tensors(file, header.parsed("checksums"), bundle);
  check_padding(file);
  read_golden(file, header, bundle);
  return bundle;
}

bool is_bundle(const std::string& path) {
  if (!is_safetensors(path)) return false;
  try {
    const SafetensorsReader file(path);
    const auto format = file.metadata().find("format");
    return format != file.metadata().end() && format->second == "mtrank";
  } catch (const FileError&) {
    return false;
  }
}

std::string describe_bundle(const std::string& path) {
  const SafetensorsReader file(path);
  const BundleHeader header(file);
  std::string text = "bundle, format version " + header.text("format_version") + "\n";
  for (const char* name : {"provenance", "input", "features", "tasks", "outputs"}) {
    text += std::string(name) + "\n" + indented(header.parsed(name).dump(2));
  }
  text += "config\n" + indented(header.text("config"));
  text += "golden rows: " + std::to_string(file.require("golden.ends", DType::i64, {-1, -1}).shape[0]) + "\n";
  return text + describe_tensors(file);
}

}  // namespace mtrank
