// Speed of the CSV reader, per thread: MB of uncompressed text a second of CPU time.
//
//     csv_bench [FILE [repeats]]
//
// FILE has the columns of KuaiRand (data/README: ids, lists, numbers, labels), uncompressed; without it a file of that
// shape is made. Every id, list, number and label that a ranking model of that log uses is encoded.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>

#include "framework/core/isa.h"
#include "framework/data/encode.h"
#include "framework/data/statistics.h"
#include "tests/data/data_testing.h"

namespace mtrank {
namespace {

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Rows like KuaiRand's: 50 columns, three of them quoted, two lists; about 400 bytes each.
std::string make_file(size_t rows) {
  std::mt19937 random(1);
  const auto below = [&](unsigned n) { return std::to_string(random() % n); };
  const auto list = [&](unsigned most) {
    std::string text;
    for (unsigned i = 0, n = random() % (most + 1); i < n; ++i) text += (i ? "|" : "") + below(7600);
    return text;
  };
  std::string text =
      "time_ms,date,hour,tab,user_id,video_id,author_id,video_type,upload_type,music_type,duration_ms,freshness_days,"
      "tags,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num_range,"
      "fans_user_num_range,friend_user_num_range,register_days_range,register_days";
  for (int i = 0; i < 18; ++i) text += ",onehot_feat" + std::to_string(i);
  text +=
      ",watched_videos,liked_videos,is_click,long_view,is_like,is_follow,is_comment,is_forward,is_profile_enter,"
      "play_time_ms\n";
  for (size_t r = 0; r < rows; ++r) {
    text += "16508127414" + below(90) + ",20220425," + below(24) + "," + below(15) + "," + below(24000) + "," +
            below(6000) + "," + below(9000000) + ",NORMAL,LongImport,9.0," + below(90000) + "," + below(40) + "," +
            below(46) + ",full_active,0,-124," + below(2) + ",\"(150,250]\",\"[10,100)\",\"[1,5)\",366-730," +
            below(2000) + ",0," + below(8) + "," + below(50) + "," + below(1400) + ",2.0,0,0," + below(100) + "," +
            below(400) + ",1,0,0,1.0,0.0,0.0,0.0,0.0,0.0," + list(50) + "," + list(2) + "," + below(2) + "," +
            below(2) + ",0,0,0,0," + below(2) + "," + below(90000) + "\n";
  }
  return text;
}

/// Encodes the file `repeats` times on this thread and prints the best.
void measure(const char* what, const std::string& file, const DatasetSpec& spec, int repeats) {
  const RowEncoder encoder(spec.transforms, spec.rows, EncodeFor::training);
  const double bytes = static_cast<double>(std::filesystem::file_size(file));
  double best = 1e9;
  int64_t rows = 0;
  EncodedBlock block;
  std::vector<BadRow> bad;
  for (int i = 0; i < repeats; ++i) {
    rows = 0;
    const double from = cpu_seconds();
    FileScan({file}, spec.read, encoder.columns())
        .run(
            1, [&](int, ScanBlock& b) { encode_block(encoder, b, block, bad); },
            [&](int, ScanBlock&) {
              rows += block.rows();
              return bad.empty();
            });
    best = std::min(best, cpu_seconds() - from);
  }
  std::printf("%-28s %-7s %8.0f MB/s  %9.0f rows/s\n", what, std::string(isa_name(isa())).c_str(), bytes / best / 1e6,
              static_cast<double>(rows) / best);
}

void run(const std::string& file, int repeats) {
  DatasetSpec vocab = data_testing::kuairand_spec("");
  vocab.rows.keys.clear();
  const auto learned = collect_statistics({file}, vocab.read, vocab.transforms, vocab.rows, BadRowPolicy(false, 0), 1);
  apply_statistics(learned, vocab.transforms);
  DatasetSpec hashed = vocab;
  for (auto& table : hashed.transforms.tables) {
    table.ids = IdKind::hash;
    table.rows = 100003;
  }
  DatasetSpec few = hashed;
  few.transforms.features.resize(1);
  std::printf("%s: %.1f MB\n", file.c_str(), static_cast<double>(std::filesystem::file_size(file)) / 1e6);
  const Isa best = isa();
  for (int set = static_cast<int>(best); set >= 0; --set) {
    set_isa(static_cast<Isa>(set));
    measure("cut into fields, one id", file, few, repeats);
    measure("hashed ids", file, hashed, repeats);
    measure("vocabulary ids", file, vocab, repeats);
  }
}

}  // namespace
}  // namespace mtrank

int main(int argc, char** argv) {
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 5;
  if (argc > 1) {
    mtrank::run(argv[1], repeats);
    return 0;
  }
  mtrank::TempDir folder;
  mtrank::run(folder.write("kuairand_like.csv", mtrank::make_file(100000)), repeats);
  return 0;
}
