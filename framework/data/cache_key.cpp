#include "framework/data/cache_key.h"

#include "framework/core/hash.h"
#include "framework/data/byte_stream.h"
#include "framework/data/files.h"

namespace mtrank {
namespace {

/// Counts up when the same input gives other encoded rows or statistics.
constexpr uint64_t kVersion = 2;

void put_texts(ByteWriter& out, const std::vector<std::string>& texts) {
  out.put(static_cast<uint64_t>(texts.size()));
  for (const auto& text : texts) out.put_text(text);
}

void put_condition(ByteWriter& out, const LabelCondition& condition) {
  out.put_text(condition.text);
  for (const auto& clause : condition.clauses) {
    out.put(int64_t{clause.label});
    out.put(clause.op);
    out.put(clause.value);
  }
}

void put_label(ByteWriter& out, const LabelSpec& label) {
  out.put_text(label.name);
  out.put_text(label.column);
  out.put(label.binary);
  put_texts(out, label.positive);
  out.put(label.comparison ? static_cast<int>(*label.comparison) : -1);
  out.put(label.threshold);
}

void put_rows(ByteWriter& out, const RowSpec& rows) {
  for (const auto& label : rows.labels) put_label(out, label);
  for (const auto& condition : rows.conditions) put_condition(out, condition);
  put_texts(out, rows.keys);
  out.put_text(rows.weight_column);
  if (rows.sample) {
    put_condition(out, rows.sample->when);
    out.put(rows.sample->keep);
    out.put(rows.sample->correct);
    out.put(rows.seed);
  }
  out.put_text(rows.split.by);
  out.put(int64_t{rows.split.folds});
  out.put_all(rows.split.take);
}

}  // namespace

uint64_t cache_key(const std::vector<std::string>& files, const ReadOptions& options, const std::string& transforms,
                   const RowSpec& rows, const std::string& purpose) {
  ByteWriter out;
  out.put(kVersion);
  for (const auto& file : files) {
    const FileStamp stamp = stamp_file(file);
    out.put_text(stamp.path);
    out.put(stamp.size);
    out.put(stamp.mtime_ns);
  }
  out.put_text(options.format);
  out.put(options.delimiter);
  out.put(options.trim);
  out.put(options.skip_header);
  out.put(static_cast<uint64_t>(options.block_bytes));
  put_texts(out, options.columns);
  out.put_text(transforms);
  put_rows(out, rows);
  out.put_text(purpose);
  return xxh64(out.bytes());
}

}  // namespace mtrank
