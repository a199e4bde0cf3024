// The update of embedding tables on one thread: sorting the lookups, checking the gradients, moving the rows.
//   build/embedding_bench [substring of a case]
// Ids follow Zipf(1.05). The time is the thread's CPU time, the median of the steps. GB/s counts what must move at
// least: each lookup's gradient read once, each touched row and its state read and written once. MTRANK_ISA picks the
// instruction set.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "framework/core/isa.h"
#include "framework/embedding/init.h"
#include "framework/embedding/sparse_update.h"

namespace mtrank {
namespace {

constexpr int64_t kBatch = 2048;
constexpr int kSteps = 15, kBatches = 4;

struct TableCase {
  int64_t rows;
  int hot;
};
struct Case {
  const char* name;
  int64_t dim;
  OptimizerSettings optimizer;
  std::vector<TableCase> tables;
};

std::vector<TableCase> dlrm_tables() {
  const int64_t rows[] = {100000, 39060, 17295, 7424, 20265, 3,  7122,   1543,   63,     100000, 100000, 100000, 10,
                          2209,   11938, 155,   4,    976,   14, 100000, 100000, 100000, 100000, 12973,  108,    36};
  const int hot[] = {3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1};
  std::vector<TableCase> out;
  for (int i = 0; i < 26; ++i) out.push_back({rows[i], hot[i]});
  return out;
}

double thread_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double seconds(const std::function<void()>& f) {
  const double start = thread_seconds();
  f();
  return thread_seconds() - start;
}

double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<int64_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

int32_t zipf(double u, int64_t rows) {
  const double s = 1.05, n = static_cast<double>(rows);
  const auto rank = static_cast<int64_t>(std::pow(u * (std::pow(n + 1, 1 - s) - 1) + 1, 1 / (1 - s))) - 1;
  return static_cast<int32_t>(std::clamp<int64_t>(rank, 0, rows - 1) * 2654435761 % rows);
}

struct Batch {
  std::vector<std::vector<int32_t>> ids, offsets;
  std::vector<IdsView> views;
};

Batch make_batch(const Case& c, uint64_t seed) {
  Batch out;
  out.ids.resize(c.tables.size());
  out.offsets.resize(c.tables.size());
  for (size_t t = 0; t < c.tables.size(); ++t) {
    const Philox random(seed, "bench", std::to_string(t));
    for (int64_t i = 0; i < kBatch * c.tables[t].hot; ++i)
      out.ids[t].push_back(zipf(uniform01(random(0, static_cast<uint64_t>(i))[0]), c.tables[t].rows));
    for (int64_t b = 0; b <= kBatch; ++b) out.offsets[t].push_back(static_cast<int32_t>(b * c.tables[t].hot));
    out.views.push_back({.ids = out.ids[t].data(), .offsets = c.tables[t].hot == 1 ? nullptr : out.offsets[t].data()});
  }
  return out;
}

double memcpy_gbs() {
  std::vector<char> a(256 << 20, 1), b(256 << 20, 2);
  double best = 1e9;
  for (int i = 0; i < 5; ++i) best = std::min(best, seconds([&] { std::memcpy(b.data(), a.data(), a.size()); }));
  return 2 * static_cast<double>(a.size()) / best * 1e-9;
}

void run(const Case& c) {
  ThreadPool pool(1);
  std::vector<std::unique_ptr<EmbeddingTable>> tables;
  std::vector<EmbeddingTable*> pointers;
  std::vector<int> table_of;
  for (const TableCase& t : c.tables) {
    tables.push_back(std::make_unique<EmbeddingTable>(std::to_string(tables.size()), t.rows, c.dim, c.optimizer));
    tables.back()->initialize(pool, {WeightInit::Kind::normal, 0.01, 0}, 1);
    table_of.push_back(static_cast<int>(table_of.size()));
    pointers.push_back(tables.back().get());
  }
  std::vector<Batch> batches;
  for (uint64_t i = 0; i < kBatches; ++i) batches.push_back(make_batch(c, i));
  std::vector<float> gradient(c.tables.size() * static_cast<size_t>(kBatch * c.dim));
  fill_weights({WeightInit::Kind::normal, 0.01, 0}, Philox(1, "bench", "g"), 0, static_cast<int64_t>(gradient.size()),
               gradient.data());
  std::vector<View> gradients;
  for (size_t t = 0; t < c.tables.size(); ++t)
    gradients.push_back({gradient.data() + t * static_cast<size_t>(kBatch * c.dim), kBatch, c.dim, c.dim});

  SparseUpdate update(pointers, table_of, 8);
  std::vector<double> prepare, check, apply;
  double lookups = 0, bytes = 0;
  for (int step = 1; step <= kSteps; ++step) {
    const Batch& batch = batches[static_cast<size_t>(step % kBatches)];
    prepare.push_back(seconds([&] { update.prepare(pool, kBatch, batch.views); }));
    check.push_back(seconds([&] { update.check(pool, gradients); }));
    apply.push_back(seconds([&] { update.apply(pool, gradients, 1, step); }));
    lookups = bytes = 0;
    for (size_t t = 0; t < tables.size(); ++t) {
      const RowIndex& index = update.index(static_cast<int>(t));
      const double rows = static_cast<double>(tables[t]->moves_every_row() ? tables[t]->rows()
                                                                           : static_cast<int64_t>(index.rows().size()));
      lookups += static_cast<double>(index.lookups());
      bytes += 4 * static_cast<double>(c.dim * index.lookups());
      bytes += 2 * rows * static_cast<double>(EmbeddingTable::bytes(1, c.dim, c.optimizer));
    }
  }
  const double p = median(prepare), k = median(check), a = median(apply);
  std::printf("%-10s %8.0f %9.2f %9.2f %9.2f %10.1f %10.1f %8.1f\n", c.name, lookups, p * 1e3, k * 1e3, a * 1e3,
              p / lookups * 1e9, a / lookups * 1e9, bytes / a * 1e-9);
}

}  // namespace
}  // namespace mtrank

int main(int argc, char** argv) {
  using namespace mtrank;
  const auto tables = OptimizerUse::tables;
  const Case cases[] = {
      {"dlrm", 128, {"rowwise_adagrad", tables}, dlrm_tables()},
      {"funnel", 64, {"adam", tables}, std::vector<TableCase>(26, {100000, 1})},
      {"dense_adam", 16, {"adam", tables, {{"lazy", 0}}}, std::vector<TableCase>(24, {3000, 1})},
      {"ftrl", 16, {"ftrl", tables}, std::vector<TableCase>(26, {100000, 1})},
  };
  std::printf("%s, one thread, batch %ld, memcpy %.1f GB/s (read and write)\n", std::string(isa_name(isa())).c_str(),
              static_cast<long>(kBatch), memcpy_gbs());
  std::printf("%-10s %8s %9s %9s %9s %10s %10s %8s\n", "case", "lookups", "sort ms", "check ms", "apply ms",
              "sort ns/id", "apply ns/id", "GB/s");
  for (const Case& c : cases)
    if (argc < 2 || std::string(c.name).find(argv[1]) != std::string::npos) run(c);
}
