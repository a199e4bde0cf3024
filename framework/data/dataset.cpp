#include "framework/data/dataset.h"

#include <filesystem>

#include "framework/core/error.h"
#include "framework/core/hash.h"
#include "framework/core/thread_pool.h"
#include "framework/data/files.h"
#include "framework/data/first_rows.h"
#include "framework/data/mtb_directory.h"
#include "framework/data/raw_parts.h"

namespace mtrank {
namespace {

constexpr Part kParts[] = {Part::train, Part::valid, Part::test};

void tell(const Dataset::Log& log, const std::string& line) {
  if (log) log(line);
}

/// Says which raw files are no longer what was converted; files that are not there any more are no reason to.
void tell_changes(const MtbDirectory& directory, const std::string& folder, const Dataset::Log& log) {
  for (const auto& part : directory.parts) {
    if (!part) continue;
    for (const FileStamp& then : part->sources) {
      std::error_code gone;
      if (!std::filesystem::exists(then.path, gone)) continue;
      const FileStamp now = stamp_file(then.path);
      if (now.size != then.size || now.mtime_ns != then.mtime_ns)
        tell(log, "warning: " + then.path + " has changed since " + folder +
                      " was converted from it; the rows that were converted are read. Convert again for the new ones");
    }
  }
}

}  // namespace

const char* part_name(Part part) {
  constexpr const char* names[] = {"train", "valid", "test"};
  return names[static_cast<size_t>(part)];
}

Dataset::Dataset(DatasetSpec spec, int threads, const Log& log) : spec_(std::move(spec)) {
  spec_.mtb.empty() ? open_raw(threads, log) : open_converted(log);
  schema_ = spec_.transforms.schema();
  spec_.rows.extend(schema_);
  for (const Part part : kParts) {
    if (!has(part)) continue;
    const auto encoder = encoder_of(spec_, part);
    layouts_[index(part)] = encoder->layout();
    corrections_[index(part)] = encoder->correction();
    report_rows(spec_, part, set(part).summary(), log);
  }
}

void Dataset::open_raw(int threads, const Log& log) {
  const RawParts raw(spec_, threads, log);
  learning_bytes_ = raw.statistics().memory;
  for (const Part part : kParts)
    if (!spec_.parts[index(part)].files.empty()) sets_[index(part)] = raw.open(part);
}

void Dataset::open_converted(const Log& log) {
  MtbDirectory directory = read_mtb_directory(spec_.mtb);
  require_same_fields(directory, spec_.mtb, spec_);
  tell_changes(directory, spec_.mtb, log);
  if (!fits(directory.statistics, spec_.transforms))
    throw FileError(spec_.mtb + "/learned: holds the statistics of another config");
  apply_statistics(directory.statistics, spec_.transforms);
  first_rows_ = std::move(directory.first_rows);
  for (const Part part : kParts) {
    auto& files = directory.parts[index(part)];
    if (!files || spec_.parts[index(part)].files.empty()) continue;
    const auto encoder = encoder_of(spec_, part);
    sets_[index(part)] =
        open_mtb(spec_.mtb, files->shards, MtbCodec(encoder->schema(), encoder->layout()), std::move(files->summary));
  }
}

void Dataset::verify(int threads) const {
  ThreadPool pool(threads);
  std::vector<EncodedBlock> blocks(static_cast<size_t>(threads));
  for (const auto& set : sets_)
    if (set)
      pool.run(static_cast<int>(set->blocks()), [&](int block, int thread) {
        set->read(static_cast<size_t>(block), blocks[static_cast<size_t>(thread)]);
      });
}

std::vector<std::vector<std::string>> Dataset::first_rows(size_t count) const {
  if (spec_.mtb.empty()) return mtrank::first_rows(spec_.parts[0].files, spec_.read, spec_.transforms, count);
  MTRANK_ASSERT(count <= kFirstRows);
  return {first_rows_.begin(), first_rows_.begin() + static_cast<ptrdiff_t>(std::min(count, first_rows_.size()))};
}

const EncodedSet& Dataset::set(Part part) const {
  MTRANK_ASSERT(has(part));
  return *sets_[index(part)];
}

uint64_t Dataset::fingerprint(Part part) const {
  return xxh64(transforms_text(spec_.transforms), set(part).fingerprint());
}

std::unique_ptr<BatchSource> Dataset::train(StreamOptions options) const {
  return std::make_unique<EncodedSource>(sets_[0], schema_, layouts_[0], corrections_[0], options);
}

std::unique_ptr<BatchSource> Dataset::eval(Part part, int64_t batch_size, int threads) const {
  MTRANK_ASSERT(has(part));
  const size_t i = index(part);
  return std::make_unique<EncodedSource>(sets_[i], schema_, layouts_[i], corrections_[i],
                                         StreamOptions{.batch_size = batch_size, .threads = threads});
}

}  // namespace mtrank
