#include "framework/cli/bench_data.h"

#include "framework/data/prefetch.h"
#include "framework/data/synth_like.h"

namespace mtrank::cli {
namespace {

/// Batches that are read before the clock starts: the buffers find their size and the window is full.
constexpr int kWarmUp = 8;

/// Batch after batch, epoch after epoch.
class Endless {
 public:
  explicit Endless(BatchSource& source) : source_(source) {}
  const Batch& next() {
    while (!source_.next(batch_)) source_.seek(++epoch_, 0);
    return batch_;
  }

 private:
  BatchSource& source_;
  Batch batch_;
  int64_t epoch_ = 0;
};

/// Samples a second over `batches`.
double rate(Endless& batches, int count, const std::function<void(const Batch&)>& step) {
  for (int i = 0; i < kWarmUp; ++i) step(batches.next());
  const auto start = Clock::now();
  int64_t samples = 0;
  for (int i = 0; i < count; ++i) {
    const Batch& batch = batches.next();
    step(batch);
    samples += batch.rows;
  }
  return static_cast<double>(samples) / seconds_since(start);
}

}  // namespace

std::unique_ptr<const Dataset> open_files(const Config& config, std::optional<int64_t> rows_cap, const std::string& dir,
                                          int threads) {
  if (dir.empty()) return nullptr;
  DatasetSpec spec = synthetic_spec(config, capped_rows(config, rows_cap));
  spec.mtb = dir;
  return std::make_unique<const Dataset>(std::move(spec), threads);
}

TableRows bench_rows(const Config& config, std::optional<int64_t> rows_cap, const Dataset* files) {
  TableRows rows = capped_rows(config, rows_cap);
  if (files)
    for (const TableInfo& table : files->schema().tables) rows[table.name] = table.rows;
  return rows;
}

FileRates measure_files(const Config& config, const Dataset& files, int threads, int steps,
                        const std::function<void(const Batch&)>& step) {
  StreamOptions options = stream_options(config, threads);
  options.epochs = INT64_MAX;
  FileRates out;
  {
    const auto source = files.train(options);
    Endless batches(*source);
    out.reading = rate(batches, std::max(steps, 50), [](const Batch&) {});
  }
  PrefetchSource source(files.train(options));
  Endless batches(source);
  double waited = 0;
  const auto start = Clock::now();
  out.training = rate(batches, steps, [&](const Batch& batch) {
    step(batch);
    waited = source.seconds_waited();
  });
  out.waiting = waited / seconds_since(start);
  return out;
}

}  // namespace mtrank::cli
