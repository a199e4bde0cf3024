#include "framework/train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "framework/core/error.h"
#include "framework/core/hash.h"
#include "framework/core/json.h"
#include "framework/serving/inspect.h"
#include "framework/train/checkpoint_manifest.h"

namespace mtrank {
namespace {

constexpr std::string_view state_name = "state.json";
constexpr std::string_view tensors_name = "tensors.safetensors";
constexpr std::string_view leftover_prefix = "partial-";
constexpr uint64_t max_state = uint64_t{1} << 30;

void check_file(const std::string& dir, const CheckpointManifest::File& expected) {
  const disk::Input file(dir + "/" + expected.name);
  if (file.size() != expected.size) {
    throw FileError(file.path() + " has " + std::to_string(file.size()) + " bytes; its MANIFEST says " +
                    std::to_string(expected.size));
  }
  Xxh64 hash;
  std::vector<char> buffer(size_t{4} << 20);
  for (uint64_t at = 0; at < expected.size; at += buffer.size()) {
    const size_t n = std::min<uint64_t>(buffer.size(), expected.size - at);
    file.read(at, buffer.data(), n);
    hash.add(buffer.data(), n);
  }
  if (hash.value() != expected.hash) throw FileError(file.path() + " is damaged: it does not match its MANIFEST");
}

/// Writes one file of a checkpoint to the disk and hashes it on the way.
class HashedFile {
 public:
  HashedFile(const std::string& dir, std::string_view name) : file_(dir + "/" + std::string(name)), name_(name) {}
  void write(const void* data, size_t size) {
    file_.write(data, size);
    hash_.add(data, size);
  }
  CheckpointManifest::File finish() {
    file_.sync();
    file_.close();
    return {name_, file_.size(), hash_.value()};
  }

 private:
  disk::Output file_;
  Xxh64 hash_;
  std::string name_;
};

std::optional<CheckpointStore::Name> parse_name(const std::string& dir, const std::string& name) {
  constexpr std::string_view prefix = "step-";
  if (name.compare(0, prefix.size(), prefix) != 0) return std::nullopt;
  CheckpointStore::Name parsed{0, 0, dir + "/" + name};
  const char* end = name.data() + name.size();
  auto result = std::from_chars(name.data() + prefix.size(), end, parsed.step);
  if (result.ec == std::errc() && result.ptr != end && *result.ptr == '.') {
    result = std::from_chars(result.ptr + 1, end, parsed.repeat);
  }
  if (result.ec != std::errc() || result.ptr != end || parsed.step < 0) return std::nullopt;
  return parsed;
}

bool saved_as_best(const std::string& path) {
  try {
    return CheckpointManifest::read(path).best;
  } catch (const FileError&) {
    return false;
  }
}

}  // namespace

Checkpoint::Checkpoint(std::string path) : path_(std::move(path)) {
  const CheckpointManifest manifest = CheckpointManifest::read(path_);
  step_ = manifest.step;
  best_ = manifest.best;
  for (const CheckpointManifest::File& file : manifest.files) check_file(path_, file);
  state_json_ = disk::read_all(path_ + "/" + std::string(state_name), max_state);
  tensors_ = std::make_unique<SafetensorsReader>(path_ + "/" + std::string(tensors_name));
}

bool is_checkpoint(const std::string& path) {
  try {
    CheckpointManifest::read(path);
    return true;
  } catch (const FileError&) {
    return false;
  }
}

std::string describe_checkpoint(const std::string& path) {
  const CheckpointManifest manifest = CheckpointManifest::read(path);
  std::string text =
      "checkpoint of step " + std::to_string(manifest.step) + (manifest.best ? ", the best so far" : "") + "\n";
  const auto state = parse_json<nlohmann::json>(disk::read_all(path + "/" + std::string(state_name), max_state));
  if (state.is_discarded()) throw FileError(path + "/" + std::string(state_name) + " is not valid JSON");
  text += "state\n";
  for (const auto& [name, value] : state.items()) {
    const std::string shown = value.dump();
    text += "  " + name + ": " + (shown.size() > 100 ? "(" + std::to_string(shown.size()) + " bytes)" : shown) + "\n";
  }
  return text + describe_tensors(SafetensorsReader(path + "/" + std::string(tensors_name)));
}

CheckpointStore::CheckpointStore(std::string dir, int keep) : dir_(std::move(dir)), keep_(keep) {
  MTRANK_ASSERT(keep >= 1);
}

std::vector<CheckpointStore::Name> CheckpointStore::list() const {
  std::vector<Name> names;
  if (!disk::is_directory(dir_)) return names;
  for (const std::string& name : disk::list(dir_)) {
    if (auto parsed = parse_name(dir_, name)) names.push_back(*std::move(parsed));
  }
  std::sort(names.begin(), names.end(),
            [](const Name& a, const Name& b) { return std::tie(a.step, a.repeat) < std::tie(b.step, b.repeat); });
  return names;
}

std::string CheckpointStore::new_name(int64_t step) const {
  int repeat = 0;
  for (const Name& name : list()) {
    if (name.step == step) repeat = name.repeat + 1;
  }
  std::string digits = std::to_string(step);
  digits.insert(0, digits.size() < 12 ? 12 - digits.size() : 0, '0');
  return "step-" + digits + (repeat > 0 ? "." + std::to_string(repeat) : "");
}

void CheckpointStore::save(int64_t step, const std::vector<TensorSource>& tensors, const std::string& state_json,
                           bool is_best) {
  disk::make_directory(dir_);
  remove_leftovers();
  const std::string header = safetensors_header(tensors, {});
  disk::require_space(dir_, header.size() + tensors_size(tensors) + state_json.size() + (1 << 20), "a checkpoint");
  const std::string name = new_name(step);
  const std::string partial = dir_ + "/" + std::string(leftover_prefix) + name;
  disk::make_directory(partial);

  CheckpointManifest manifest{step, is_best, {}};
  HashedFile state_file(partial, state_name);
  state_file.write(state_json.data(), state_json.size());
  manifest.files.push_back(state_file.finish());
  HashedFile tensors_file(partial, tensors_name);
  tensors_file.write(header.data(), header.size());
  write_tensors(tensors, [&](const void* data, size_t size) { tensors_file.write(data, size); });
  manifest.files.push_back(tensors_file.finish());

  HashedFile manifest_file(partial, manifest_name);
  const std::string text = manifest.text();
  manifest_file.write(text.data(), text.size());
  manifest_file.finish();
  disk::sync_directory(partial);
  const std::string saved = dir_ + "/" + name;
  disk::rename(partial, saved);
  disk::sync_directory(dir_);
  remove_old(saved);
}

// What a save that failed or died has left; the next save, not the failing one, removes it: the disk may be the
// problem.
void CheckpointStore::remove_leftovers() const {
  for (const std::string& name : disk::list(dir_)) {
    if (name.compare(0, leftover_prefix.size(), leftover_prefix) == 0) disk::remove(dir_ + "/" + name);
  }
}

// What stands after the one just saved is of a history that was given up: a damaged one that was passed over.
void CheckpointStore::remove_old(const std::string& saved) const {
  const std::vector<Name> names = list();
  const auto is_saved = [&](const Name& name) { return name.path == saved; };
  const auto last = std::find_if(names.begin(), names.end(), is_saved) - names.begin();
  std::string best;
  for (auto i = 0; i <= last; ++i) {
    if (saved_as_best(names[i].path)) best = names[i].path;
  }
  for (auto i = 0; i < static_cast<int>(names.size()); ++i) {
    if (names[i].path == best || (i > last - keep_ && i <= last)) continue;
    // Renamed first: one that is half deleted must not look like a damaged checkpoint.
    const std::string leftover = dir_ + "/" + std::string(leftover_prefix) + "old-" + std::to_string(names[i].step);
    disk::rename(names[i].path, leftover);
    disk::remove(leftover);
  }
}

std::optional<Checkpoint> CheckpointStore::newest(const Warn& warn, bool best_only) const {
  std::vector<Name> names = list();
  std::reverse(names.begin(), names.end());
  std::string problem;
  for (const Name& name : names) {
    try {
      if (best_only && !CheckpointManifest::read(name.path).best) continue;
      return Checkpoint(name.path);
    } catch (const FileError& e) {
      problem = e.what();
      warn("checkpoint " + name.path + " cannot be used, the one before it is tried: " + problem);
    }
  }
  if (problem.empty()) return std::nullopt;
  throw FileError("no checkpoint in " + dir_ + " can be used. The last one tried: " + problem +
                  ". Restore it, or start again in an empty directory");
}

std::optional<Checkpoint> CheckpointStore::latest(const Warn& warn) const { return newest(warn, false); }
std::optional<Checkpoint> CheckpointStore::best(const Warn& warn) const { return newest(warn, true); }

}  // namespace mtrank
