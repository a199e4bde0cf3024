#include "framework/data/synth_like.h"

#include <fmt/format.h>

#include <algorithm>

#include "framework/config/config.h"
#include "framework/core/atomic_directory.h"
#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/core/host.h"
#include "framework/core/thread_pool.h"
#include "framework/data/mtb_directory.h"
#include "framework/data/raw_parts.h"
#include "framework/data/synthetic_batches.h"

namespace mtrank {
namespace {

/// Of a block in memory: small enough for a core's cache.
constexpr size_t kBlockWords = 1 << 18;

/// Values that stand in order of their bytes.
std::shared_ptr<const Vocabulary> numbered_values(int64_t rows) {
  std::vector<std::string> values;
  for (int64_t r = 1; r < rows; ++r) values.push_back(fmt::format("{:010}", r));
  return std::make_shared<const Vocabulary>(std::vector<std::string_view>(values.begin(), values.end()));
}

/// Throws ResourceError when the made-up values would not fit into memory.
void require_memory(const FeatureTransforms& transforms, const std::map<std::string, int64_t>& rows) {
  constexpr int64_t kValueBytes = 112;  // its text, a view of it, its place in the map, and what is written
  int64_t values = 0;
  for (const TableTransform& table : transforms.tables)
    if (table.ids == IdKind::vocab) values += rows.at(table.name);
  if (const int64_t free = host_memory().budget(); values > free / kValueBytes)
    throw ResourceError(fmt::format(
        "vocabularies of {} values take about {:.1f} GiB of memory, and {:.1f} GiB are free: give a smaller --rows-cap",
        values, static_cast<double>(values) * kValueBytes / (1 << 30), static_cast<double>(free) / (1 << 30)));
}

Statistics made_up(const FeatureTransforms& transforms, const std::map<std::string, int64_t>& rows) {
  Statistics out;
  for (const TableTransform& table : transforms.tables)
    out.vocabularies.push_back(table.ids == IdKind::vocab ? numbered_values(rows.at(table.name)) : nullptr);
  for (const FeatureTransform& feature : transforms.features) {
    const bool normalized = std::any_of(feature.steps.begin(), feature.steps.end(),
                                        [](const DenseStep& s) { return s.kind == DenseStep::Kind::zscore; });
    out.mean.emplace_back(normalized ? feature.columns.size() : 0, 0.0);
    out.deviation.emplace_back(normalized ? feature.columns.size() : 0, 1.0);
  }
  return out;
}

/// The rows of a batch as records.
class Recorder {
 public:
  explicit Recorder(const RecordLayout& layout) : layout_(layout) {}

  void run(const Batch& batch, EncodedBlock& out) const {
    out.clear();
    for (size_t r = 0; r < static_cast<size_t>(batch.rows); ++r) {
      out.starts.push_back(static_cast<uint32_t>(out.words.size()));
      fixed(batch, r, out.words);
      for (const RecordLayout::List& list : layout_.lists) add_list(batch.ids[static_cast<size_t>(list.slot)], r, out);
    }
  }

 private:
  template <class T>
  static void put(std::vector<uint32_t>& words, size_t at, const T& value) {
    std::memcpy(words.data() + at, &value, sizeof value);
  }

  void fixed(const Batch& batch, size_t r, std::vector<uint32_t>& words) const {
    const size_t start = words.size();
    words.resize(start + static_cast<size_t>(layout_.fixed), 0);
    const auto word = [&](int at) { return start + static_cast<size_t>(at); };
    for (int s = 0; s < layout_.id_slots; ++s) {
      const IdColumn& column = batch.ids[static_cast<size_t>(s)];
      put(words, word(s), column.offsets.empty() ? column.ids[r] : column.offsets[r + 1] - column.offsets[r]);
    }
    size_t at = word(layout_.dense);
    for (size_t s = 0; s < batch.dense.size(); ++s) {
      const auto width = static_cast<size_t>(layout_.dense_widths[s]);
      std::memcpy(words.data() + at, batch.dense[s].data() + r * width, 4 * width);
      at += width;
    }
    for (size_t i = 0; i < batch.labels.size(); ++i) put(words, word(layout_.labels) + i, batch.labels[i][r]);
    if (layout_.has_weight) put(words, word(layout_.weight), 1.0f);
    for (size_t c = 0; c < batch.conditions.size(); ++c)
      words[word(layout_.flags) + (c + 1) / 32] |= uint32_t{batch.conditions[c][r]} << ((c + 1) % 32);
    for (size_t k = 0; k < batch.keys.size(); ++k) put(words, word(layout_.keys) + 2 * k, batch.keys[k][r]);
  }

  static void add_list(const IdColumn& column, size_t r, EncodedBlock& out) {
    const auto add = [&](const auto& values) {
      for (int32_t i = column.offsets[r]; i < column.offsets[r + 1]; ++i) {
        out.words.push_back(0);
        put(out.words, out.words.size() - 1, values[static_cast<size_t>(i)]);
      }
    };
    add(column.ids);
    if (!column.weights.empty()) add(column.weights);
  }

  const RecordLayout& layout_;
};

/// Words of a row in memory.
size_t row_words(const Config& config, const InputSchema& schema, const RecordLayout& layout) {
  double words = layout.fixed;
  const auto lengths = SyntheticBatches::list_lengths(config);
  for (const FeatureInfo& f : schema.features)
    if (f.kind == FeatureKind::ids) words += lengths.at(f.name) * (f.weighted ? 2 : 1);
  return static_cast<size_t>(words);
}

/// Makes blocks with several threads and writes them in order.
MtbDirectory::PartFiles write_part(const Config& config, const DatasetSpec& spec, Part part, int64_t rows,
                                   const std::string& folder, ThreadPool& pool) {
  const auto encoder = encoder_of(spec, part);
  const InputSchema& schema = encoder->schema();
  MtbWriter writer(folder, part_name(part), schema, encoder->layout());
  const Recorder recorder(encoder->layout());
  const auto block_rows =
      static_cast<int64_t>(std::max<size_t>(1, kBlockWords / row_words(config, schema, encoder->layout())));
  const int64_t blocks = (rows + block_rows - 1) / block_rows;
  const auto at_once = static_cast<size_t>(pool.threads()) * 2;
  std::vector<Batch> batches(at_once);
  std::vector<EncodedBlock> made(at_once);
  EncodedSummary summary;
  summary.labels.resize(schema.labels.size());
  summary.conditions.resize(schema.conditions.size());
  summary.names.resize(schema.keys.size());
  for (int64_t first = 0; first < blocks; first += static_cast<int64_t>(at_once)) {
    const auto count = static_cast<size_t>(std::min(static_cast<int64_t>(at_once), blocks - first));
    pool.run(static_cast<int>(count), [&](int i, int) {
      const int64_t block = first + i;
      Batch& batch = batches[static_cast<size_t>(i)];
      batch.rows = std::min(block_rows, rows - block * block_rows);
      fill_synthetic(config, schema, static_cast<int64_t>(part) << 40 | block, batch);
      recorder.run(batch, made[static_cast<size_t>(i)]);
    });
    for (size_t i = 0; i < count; ++i) {
      count_rows(encoder->layout(), made[i], summary);
      writer.add(made[i]);
    }
    // Blocks are alike: what is left takes what the first ones took.
    if (first == 0 && static_cast<int64_t>(count) < blocks)
      disk::require_space(disk::parent(folder),
                          static_cast<uint64_t>(static_cast<double>(writer.bytes()) / static_cast<double>(count) *
                                                static_cast<double>(blocks - static_cast<int64_t>(count))),
                          std::string("what is left of the ") + part_name(part) + " rows");
  }
  MtbDirectory::PartFiles files;
  files.summary = writer.finish(std::move(summary))->summary();
  files.shards = writer.shards();
  return files;
}

}  // namespace

DatasetSpec synthetic_spec(const Config& config, const std::map<std::string, int64_t>& rows) {
  DatasetSpec spec = dataset_spec(config);
  for (TableTransform& table : spec.transforms.tables)
    if (table.ids == IdKind::hash || table.ids == IdKind::integer) table.rows = rows.at(table.name);
  return spec;
}

void synth_like(const Config& config, const std::map<std::string, int64_t>& table_rows,
                const SynthLikeOptions& options) {
  DatasetSpec spec = synthetic_spec(config, table_rows);
  require_memory(spec.transforms, table_rows);
  AtomicDirectory out(options.out);
  MtbDirectory directory;
  directory.fields = data_fields(spec);
  directory.statistics = made_up(spec.transforms, table_rows);
  apply_statistics(directory.statistics, spec.transforms);
  ThreadPool pool(options.threads);
  for (const Part part : {Part::train, Part::valid, Part::test})
    if (!spec.parts[static_cast<size_t>(part)].files.empty())
      directory.parts[static_cast<size_t>(part)] =
          write_part(config, spec, part, part == Part::train ? options.rows : std::max<int64_t>(1, options.rows / 10),
                     out.partial(), pool);
  write_mtb_directory(out.partial(), directory);
  out.commit();
}

}  // namespace mtrank
