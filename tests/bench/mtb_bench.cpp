// Speed of batches from `.mtb` files that are in the page cache.
//
//     mtb_bench CONFIG [rows [threads ...]]        e.g. mtb_bench configs/bench/dlrm_dcnv2.yaml 400000 1 2
//
// Writes `mtrank synth --like CONFIG` with tables of at most 10 M rows to the temporary folder, and reads it shuffled:
// as a whole in memory, and in windows of an eighth, which are read while they are used. Beside it the same rows from
// the cache of encoded rows, and memcpy.
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>

#include "framework/cli/load.h"
#include "framework/data/mtb_directory.h"
#include "framework/data/raw_parts.h"
#include "framework/data/synth_like.h"

namespace {
std::atomic<long> allocations{0};
}
// Not inlined: the compiler would see a free of what new gave, and warn.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace mtrank {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// CPU time of all threads: what other programs take does not count.
double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <class T>
double bytes_of(const std::vector<T>& values) {
  return static_cast<double>(values.size() * sizeof(T));
}
template <class T>
double bytes_of(const std::vector<std::vector<T>>& columns) {
  double sum = 0;
  for (const auto& column : columns) sum += bytes_of(column);
  return sum;
}
double bytes_of(const Batch& b) {
  double sum = bytes_of(b.dense) + bytes_of(b.labels) + bytes_of(b.conditions) + bytes_of(b.keys) + bytes_of(b.weight);
  for (const IdColumn& c : b.ids) sum += bytes_of(c.ids) + bytes_of(c.offsets) + bytes_of(c.weights);
  return sum;
}

/// Bytes copied a second of one thread, larger than the caches.
double memcpy_rate() {
  std::vector<char> from(256 << 20, 1), to(256 << 20);
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const double start = cpu_seconds();
    std::memcpy(to.data(), from.data(), from.size());
    best = std::max(best, static_cast<double>(from.size()) / (cpu_seconds() - start));
  }
  return best;
}

struct Rate {
  double seconds = 0, cpu = 0, rows = 0, bytes = 0;
  long allocations = 0;
  double first = 0, batches = 0;  ///< seconds to the first batch of an epoch, all epochs; batches of an epoch
};

constexpr int kEpochs = 3;

/// Two epochs after a first one, in which the buffers find their size.
Rate read(BatchSource& source) {
  Batch batch;
  Rate out;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    if (epoch == 1) out = {-now(), -cpu_seconds(), 0, 0, -allocations.load()};
    const double begin = now();
    source.seek(epoch, 0);
    for (out.batches = 0; source.next(batch); ++out.batches) {
      if (out.batches == 0) out.first += now() - begin;
      out.rows += static_cast<double>(batch.rows);
      out.bytes += bytes_of(batch);
    }
  }
  out.seconds += now(), out.cpu += cpu_seconds(), out.allocations += allocations.load();
  return out;
}

void print(const char* what, int threads, const Rate& r, double memcpy) {
  std::printf("%-34s %2d threads  %9.0f rows/s  %6.2f GB/s  %6.0f ns of CPU a row  %5.2f of memcpy  %ld allocations",
              what, threads, r.rows / r.seconds, r.bytes / r.seconds / 1e9, r.cpu / r.rows * 1e9,
              r.bytes / r.cpu / memcpy, r.allocations);
  if (r.batches > 0)
    std::printf("  first batch of an epoch %.1f ms, mean %.1f", r.first / 2 * 1e3, r.seconds / 2 / r.batches * 1e3);
  std::printf("\n");
}

/// Decoding blocks alone: from the page cache to rows in memory.
void decode(const EncodedSet& set, double memcpy) {
  EncodedBlock block;
  Rate r;
  for (int pass = 0; pass < 2; ++pass) {
    r = {-now(), -cpu_seconds(), 0, 0, -allocations.load()};
    for (size_t b = 0; b < set.blocks(); ++b) {
      set.read(b, block);
      r.rows += block.rows();
      r.bytes += static_cast<double>(set.block_bytes(b));
    }
    r.seconds += now(), r.cpu += cpu_seconds(), r.allocations += allocations.load();
  }
  print("blocks to rows in memory", 1, r, memcpy);
}

int run(int argc, char** argv) {
  const int64_t rows = argc > 2 ? std::atoll(argv[2]) : 400'000;
  std::vector<int> threads;
  for (int i = 3; i < argc; ++i) threads.push_back(std::atoi(argv[i]));
  if (threads.empty()) threads = {1, static_cast<int>(std::thread::hardware_concurrency())};
  Diagnostics diagnostics;
  const Config config = load_config(argv[1], {}, diagnostics);
  diagnostics.throw_if_errors();
  const TableRows tables = cli::capped_rows(config, 10'000'000);
  const std::string folder =
      std::filesystem::temp_directory_path().string() + "/mtb-bench-" + std::to_string(::getpid());
  synth_like(config, tables, {.rows = rows, .out = folder + "/mtb", .threads = threads.back()});

  DatasetSpec spec = synthetic_spec(config, tables);
  spec.mtb = folder + "/mtb";
  const Dataset data(spec, 1);
  const MtbDirectory directory = read_mtb_directory(spec.mtb);
  apply_statistics(directory.statistics, spec.transforms);
  const auto encoder = encoder_of(spec, Part::train);
  const auto& part = *directory.parts[0];
  const auto mtb = open_mtb(spec.mtb, part.shards, MtbCodec(encoder->schema(), encoder->layout()), part.summary);
  const auto writer = encode_to_file(folder + "/rows", 1);
  EncodedBlock block;
  uint64_t file_bytes = 0;
  for (const auto& shard : part.shards) file_bytes += shard.bytes;
  for (size_t b = 0; b < mtb->blocks(); ++b) mtb->read(b, block), writer->add(block);
  const auto cache = writer->finish(part.summary);
  const double memcpy = memcpy_rate();
  std::printf("%s: %ld rows of %.0f bytes in .mtb files, %.0f in memory; memcpy %.1f GB/s\n", config.name.c_str(),
              static_cast<long>(rows), static_cast<double>(file_bytes) / static_cast<double>(rows),
              static_cast<double>(mtb->bytes()) / static_cast<double>(rows), memcpy / 1e9);
  decode(*mtb, memcpy);
  for (const int n : threads)
    for (const auto& [name, set] : {std::pair{".mtb", mtb}, std::pair{"row cache", cache}})
      for (const bool whole : {true, false}) {
        const StreamOptions options{.batch_size = 65536,
                                    .shuffle = true,
                                    .seed = 1,
                                    .memory = whole ? mtb->bytes() : mtb->bytes() / 4,
                                    .threads = n,
                                    .epochs = kEpochs};
        EncodedSource source(set, encoder->schema(), encoder->layout(), encoder->correction(), options);
        print((std::string(name) + (whole ? ", all in memory" : ", windows of an eighth")).c_str(), n, read(source),
              memcpy);
      }
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace mtrank

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: mtb_bench CONFIG [rows [threads ...]]\n"), 2;
  try {
    return mtrank::run(argc, argv);
  } catch (const std::exception& e) {
    return std::fprintf(stderr, "%s\n", e.what()), 1;
  }
}
