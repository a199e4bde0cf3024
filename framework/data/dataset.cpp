#include "framework/data/dataset.h"

#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/core/hash.h"
#include "framework/data/cache_folder.h"
#include "framework/data/cache_key.h"
#include "framework/data/files.h"
#include "framework/data/statistics.h"
#include "framework/data/statistics_cache.h"

namespace mtrank {
namespace {

void tell(const Dataset::Log& log, const std::string& line) {
  if (log) log(line);
}

RowSpec rows_of(const DatasetSpec& spec, Part part) {
  RowSpec rows = spec.rows;
  rows.split = spec.parts[static_cast<size_t>(part)].split;
  if (part != Part::train) rows.sample.reset();
  return rows;
}

/// The transforms as a text that tells different vocabularies apart.
std::string transforms_text(const FeatureTransforms& transforms) {
  std::string text = transforms_to_json(transforms);
  for (const auto& table : transforms.tables)
    if (table.vocab) text += hex64(xxh64(table.vocab->bytes())) + std::to_string(table.vocab->rows());
  return text;
}

std::string policy_text(const DatasetSpec& spec) {
  return spec.skip_bad_rows ? " skip " + std::to_string(spec.bad_row_cap) : " error";
}

}  // namespace

const char* part_name(Part part) {
  constexpr const char* names[] = {"train", "valid", "test"};
  return names[static_cast<size_t>(part)];
}

Dataset::Dataset(DatasetSpec spec, int threads, const Log& log) : spec_(std::move(spec)) {
  for (auto& part : spec_.parts) {
    part.files = expand_files(part.files);
    for (const auto& file : part.files) {
      stamp_file(file);
      format_of(file, spec_.read);
    }
  }
  if (spec_.parts[0].files.empty()) throw ConfigError("data.train names no files");
  learn(threads, log);
  schema_ = spec_.transforms.schema();
  spec_.rows.extend(schema_);
  for (const Part part : {Part::train, Part::valid, Part::test})
    if (!spec_.parts[index(part)].files.empty()) encode(part, threads, log);
}

void Dataset::learn(int threads, const Log& log) {
  if (!needs_statistics(spec_.transforms)) return;
  const auto& files = spec_.parts[0].files;
  const RowSpec rows = rows_of(spec_, Part::train);
  const uint64_t key =
      cache_key(files, spec_.read, transforms_to_json(spec_.transforms), rows, "statistics" + policy_text(spec_));
  const StatisticsCache cache(spec_.cache_folder, key);
  std::string problem;
  auto statistics = cache.load(&problem);
  if (statistics && statistics->vocabularies.size() != spec_.transforms.tables.size()) statistics.reset();
  if (!problem.empty()) tell(log, problem + "; reading the data again");
  if (!statistics) {
    tell(log, "statistics: reading the training files");
    statistics = collect_statistics(files, spec_.read, spec_.transforms, rows,
                                    BadRowPolicy(spec_.skip_bad_rows, spec_.bad_row_cap), threads);
    if (!cache.store(*statistics, &problem)) tell(log, "statistics are not cached: " + problem);
  }
  apply_statistics(*statistics, spec_.transforms);
}

void Dataset::encode(Part part, int threads, const Log& log) {
  const auto& files = spec_.parts[index(part)].files;
  const RowSpec rows = rows_of(spec_, part);
  const auto purpose = part == Part::train ? EncodeFor::training : EncodeFor::scoring;
  const RowEncoder encoder(spec_.transforms, rows, purpose);
  layouts_[index(part)] = encoder.layout();
  corrections_[index(part)] = encoder.correction();
  auto& set = sets_[index(part)];

  const std::string name = part_name(part);
  const uint64_t key = cache_key(files, spec_.read, transforms_text(spec_.transforms), rows,
                                 (purpose == EncodeFor::training ? "training" : "scoring") + policy_text(spec_));
  const std::string path = spec_.cache_folder + "/rows-" + hex64(key);
  std::string problem;
  if (!spec_.cache_folder.empty()) set = open_encoded(path, key, &problem);
  if (!problem.empty()) tell(log, problem + "; reading the data again");
  if (set) touch_cache_file(path);
  if (!set) {
    tell(log, name + ": encoding " + std::to_string(files.size()) + (files.size() == 1 ? " file" : " files"));
    const auto write = [&](EncodedWriter& writer) {
      return encode_files(files, spec_.read, encoder, BadRowPolicy(spec_.skip_bad_rows, spec_.bad_row_cap), threads,
                          writer);
    };
    if (!spec_.cache_folder.empty()) try {
        open_cache_folder(spec_.cache_folder);
        set = write(*encode_to_file(path, key));
      } catch (const ResourceError& error) {
        tell(log, name + ": encoded rows are kept in memory, not in the cache: " + error.what());
      }
    if (!set) set = write(*encode_to_memory());
  }
  const EncodedSummary& summary = set->summary();
  if (summary.bad_rows > 0)
    tell(log, name + ": skipped " + std::to_string(summary.bad_rows) +
                  (summary.bad_rows == 1 ? " bad row: " : " bad rows, the first: ") + summary.first_bad_row);
  if (summary.rows == 0) {
    std::string text = name + ": no rows in";
    for (const auto& file : files) text += " " + file;
    throw DataError(text + (rows.split.by.empty() ? "" : " for its part of data.split"));
  }
}

const EncodedSet& Dataset::set(Part part) const {
  MTRANK_ASSERT(has(part));
  return *sets_[index(part)];
}

uint64_t Dataset::fingerprint() const {
  return xxh64(transforms_text(spec_.transforms), set(Part::train).fingerprint());
}

std::unique_ptr<BatchSource> Dataset::train(StreamOptions options) const {
  return std::make_unique<EncodedSource>(sets_[0], schema_, layouts_[0], corrections_[0], options);
}

std::unique_ptr<BatchSource> Dataset::eval(Part part, int64_t batch_size) const {
  MTRANK_ASSERT(has(part));
  const size_t i = index(part);
  return std::make_unique<EncodedSource>(sets_[i], schema_, layouts_[i], corrections_[i],
                                         StreamOptions{.batch_size = batch_size});
}

}  // namespace mtrank
