#include "framework/data/raw_parts.h"

#include <filesystem>
#include <map>

#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/core/hash.h"
#include "framework/data/cache_folder.h"
#include "framework/data/cache_key.h"
#include "framework/data/files.h"
#include "framework/data/statistics_cache.h"

namespace mtrank {
namespace {

std::string policy_text(const DatasetSpec& spec) {
  return spec.skip_bad_rows ? " skip " + std::to_string(spec.bad_row_cap) : " error";
}

BadRowPolicy policy(const DatasetSpec& spec) { return BadRowPolicy(spec.skip_bad_rows, spec.bad_row_cap); }

EncodeFor purpose(Part part) { return part == Part::train ? EncodeFor::training : EncodeFor::scoring; }

}  // namespace

RowSpec rows_of(const DatasetSpec& spec, Part part) {
  RowSpec rows = spec.rows;
  rows.split = spec.parts[static_cast<size_t>(part)].split;
  if (part != Part::train) rows.sample.reset();
  return rows;
}

std::unique_ptr<RowEncoder> encoder_of(const DatasetSpec& spec, Part part) {
  return std::make_unique<RowEncoder>(spec.transforms, rows_of(spec, part), purpose(part));
}

std::string transforms_text(const FeatureTransforms& transforms) {
  std::string text = transforms_to_json(transforms);
  for (const auto& table : transforms.tables)
    if (table.vocab) text += hex64(xxh64(table.vocab->bytes())) + std::to_string(table.vocab->rows());
  return text;
}

void report_rows(const DatasetSpec& spec, Part part, const EncodedSummary& summary, const Dataset::Log& log) {
  const std::string name = part_name(part);
  if (summary.bad_rows > 0 && log)
    log(name + ": skipped " + std::to_string(summary.bad_rows) +
        (summary.bad_rows == 1 ? " bad row: " : " bad rows, the first: ") + summary.first_bad_row);
  if (summary.rows > 0) {
    if (part != Part::train || !log) return;
    const std::string of = "the training rows";
    for (const std::string& problem : label_problems(spec.rows, summary.labels, of)) log("warning: " + problem);
    for (size_t c = 0; c < summary.conditions.size(); ++c)
      if (summary.conditions[c] == 0)
        log("warning: only_when '" + spec.rows.conditions[c].text + "' holds for none of " + of);
    return;
  }
  const auto& from = spec.parts[static_cast<size_t>(part)];
  std::string text = name + ": no rows in";
  for (const auto& file : from.files) text += " " + file;
  throw DataError(text + (from.split.by.empty() ? "" : " for its part of data.split"));
}

std::vector<std::string> repeated_files(const DatasetSpec& spec) {
  std::vector<std::string> problems;
  std::map<std::string, Part> first;  // by the file itself, whatever it is called
  for (const Part part : {Part::train, Part::valid, Part::test}) {
    const DatasetSpec::PartFiles& from = spec.parts[static_cast<size_t>(part)];
    const bool split = !from.split.by.empty();
    if (split && part != Part::train) continue;  // of the same files
    const std::string key = split ? "data.files" : std::string("data.") + part_name(part);
    for (const std::string& file : from.files) {
      std::error_code error;
      const auto [at, is_new] = first.try_emplace(std::filesystem::weakly_canonical(file, error).string(), part);
      if (is_new) continue;
      if (at->second == part)
        problems.push_back(file + ": is in " + key + " more than once, and so is each of its rows");
      else
        problems.push_back(file + ": is both in data." + part_name(at->second) + " and in " + key +
                           ", so what is measured on it says little");
    }
  }
  return problems;
}

std::vector<std::string> label_problems(const RowSpec& rows, const std::vector<LabelCounts>& counts,
                                        const std::string& of) {
  std::vector<std::string> problems;
  for (size_t l = 0; l < counts.size(); ++l) {
    const std::string name = "label '" + rows.labels[l].name + "'";
    if (counts[l].rows == 0)
      problems.push_back(name + " is missing in all of " + of);
    else if (rows.labels[l].binary && counts[l].positives == 0)
      problems.push_back(name + " has no positive among " + of);
    else if (rows.labels[l].binary && counts[l].positives == counts[l].rows)
      problems.push_back(name + " has no negative among " + of);
  }
  return problems;
}

std::string constant_text(const std::string& feature, const std::string& column) {
  return "feature '" + feature + "': column '" + column +
         "' is the same in all training rows, so that `normalize: zscore` cannot scale it; take it out";
}

/// A part's files, and what in the cache they are known by.
struct RawParts::Source {
  Part part;
  const std::vector<std::string>& files;
  uint64_t key;
  std::string path;
};

RawParts::RawParts(DatasetSpec& spec, int threads, Dataset::Log log)
    : spec_(spec), threads_(threads), log_(std::move(log)) {
  for (auto& part : spec_.parts) {
    part.files = expand_files(part.files);
    for (const auto& file : part.files) {
      require_regular_file(file);
      format_of(file, spec_.read);
    }
  }
  if (spec_.parts[0].files.empty()) throw ConfigError("data.train names no files");
  for (const std::string& text : repeated_files(spec_)) tell("warning: " + text);
  learn();
  apply_statistics(statistics_, spec_.transforms);
  for (const FeatureTransform& feature : spec_.transforms.features)
    for (const std::string& column : constant_columns(feature)) tell("warning: " + constant_text(feature.name, column));
}

void RawParts::tell(const std::string& line) const {
  if (log_) log_(line);
}

void RawParts::learn() {
  statistics_.vocabularies.resize(spec_.transforms.tables.size());
  statistics_.mean.resize(spec_.transforms.features.size());
  statistics_.deviation.resize(spec_.transforms.features.size());
  if (!needs_statistics(spec_.transforms)) return;
  const auto& files = spec_.parts[0].files;
  const RowSpec rows = rows_of(spec_, Part::train);
  const uint64_t key =
      cache_key(files, spec_.read, transforms_to_json(spec_.transforms), rows, "statistics" + policy_text(spec_));
  const StatisticsCache cache(spec_.cache_folder, key);
  std::string problem;
  auto statistics = cache.load(&problem);
  if (statistics && statistics->vocabularies.size() != spec_.transforms.tables.size()) statistics.reset();
  if (!problem.empty()) tell(problem + "; reading the data again");
  if (!statistics) {
    tell("statistics: reading the training files");
    statistics = collect_statistics(files, spec_.read, spec_.transforms, rows, policy(spec_), threads_);
    if (!cache.store(*statistics, &problem)) tell("statistics are not cached: " + problem);
  }
  statistics_ = std::move(*statistics);
}

RawParts::Source RawParts::source(Part part) const {
  const auto& files = spec_.parts[static_cast<size_t>(part)].files;
  const uint64_t key = cache_key(files, spec_.read, transforms_text(spec_.transforms), rows_of(spec_, part),
                                 (purpose(part) == EncodeFor::training ? "training" : "scoring") + policy_text(spec_));
  return {part, files, key, spec_.cache_folder + "/rows-" + hex64(key)};
}

std::shared_ptr<const EncodedSet> RawParts::cached(const Source& source) const {
  if (spec_.cache_folder.empty()) return nullptr;
  std::string problem;
  auto set = open_encoded(source.path, source.key, &problem);
  if (!problem.empty()) tell(problem + "; reading the data again");
  if (set) touch_cache_file(source.path);
  return set;
}

std::shared_ptr<const EncodedSet> RawParts::encode(const Source& source, EncodedWriter& writer) const {
  return encode_files(source.files, spec_.read, *encoder_of(spec_, source.part), policy(spec_), threads_, writer);
}

std::shared_ptr<const EncodedSet> RawParts::open(Part part) const {
  const Source from = source(part);
  if (auto set = cached(from)) return set;
  const std::string name = part_name(part);
  tell(name + ": encoding " + std::to_string(from.files.size()) + (from.files.size() == 1 ? " file" : " files"));
  if (!spec_.cache_folder.empty()) try {
      open_cache_folder(spec_.cache_folder);
      return encode(from, *encode_to_file(from.path, from.key));
    } catch (const ResourceError& error) {
      tell(name + ": encoded rows are kept in memory, not in the cache: " + error.what());
    }
  return encode(from, *encode_to_memory());
}

std::shared_ptr<const EncodedSet> RawParts::write(Part part, EncodedWriter& writer) const {
  const Source from = source(part);
  const auto set = cached(from);
  if (!set) return encode(from, writer);
  EncodedBlock block;
  for (size_t b = 0; b < set->blocks(); ++b) {
    set->read(b, block);
    writer.add(block);
  }
  return writer.finish(set->summary());
}

}  // namespace mtrank
