#include "framework/train/checkpoint_manifest.h"

#include <sstream>

#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/core/hash.h"

namespace mtrank {
namespace {

constexpr std::string_view magic = "mtrank-checkpoint ";
constexpr std::string_view version = "1";

}  // namespace

std::string CheckpointManifest::text() const {
  std::string text = std::string(magic) + std::string(version) + "\nstep " + std::to_string(step) + "\nbest " +
                     (best ? "1" : "0") + "\n";
  for (const File& file : files) {
    text += "file " + hex64(file.hash) + " " + std::to_string(file.size) + " " + file.name + "\n";
  }
  return text + "end " + hex64(xxh64(text)) + "\n";
}

CheckpointManifest CheckpointManifest::parse(const std::string& path, std::string_view text) {
  if (text.substr(0, magic.size()) != magic) throw FileError(path + " is not the manifest of a checkpoint");
  const std::string_view found = text.substr(magic.size(), text.find('\n') - magic.size());
  if (found != version) {
    throw FileError(path + " has format version " + std::string(found.substr(0, 20)) + "; this mtrank reads version " +
                    std::string(version));
  }
  const size_t end = text.rfind("end ");
  uint64_t hash = 0;
  if (end == std::string_view::npos || text.size() != end + 21 || !parse_hex64(text.substr(end + 4, 16), &hash) ||
      hash != xxh64(text.substr(0, end))) {
    throw FileError(path + " is damaged: it does not match the hash at its end");
  }
  // Past the hash, the text is one that `text` made.
  CheckpointManifest manifest;
  std::istringstream lines{std::string(text.substr(0, end))};
  std::string word;
  lines >> word >> word;
  while (lines >> word) {
    if (word == "step") lines >> manifest.step;
    if (word == "best") lines >> manifest.best;
    if (word != "file") continue;
    File& file = manifest.files.emplace_back();
    lines >> word >> file.size >> file.name;
    if (!parse_hex64(word, &file.hash)) throw FileError(path + " is damaged: '" + word + "' is no hash");
  }
  return manifest;
}

CheckpointManifest CheckpointManifest::read(const std::string& dir) {
  const std::string path = dir + "/" + std::string(manifest_name);
  return parse(path, disk::read_all(path, 1 << 20));
}

}  // namespace mtrank
