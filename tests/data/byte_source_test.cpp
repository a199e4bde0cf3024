#include "framework/data/byte_source.h"

#include <gmock/gmock.h>
#include <zlib.h>
#include <zstd.h>

#include <random>

#include "framework/core/error.h"
#include "framework/data/files.h"
#include "tests/data/data_testing.h"

namespace mtrank {
namespace {

std::string random_text(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(size, ' ');
  for (char& c : text) c = "abcdefgh,\n"[random() % 10];
  return text;
}

std::string gzip(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string read_all(const std::string& path, size_t step) {
  auto source = open_bytes(path);
  std::string all, piece(step, '\0');
  while (const size_t n = source->read(piece.data(), step)) all.append(piece, 0, n);
  EXPECT_EQ(source->read(piece.data(), step), 0u);
  return all;
}

std::string problem(const std::string& path) {
  try {
    read_all(path, 1000);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

TEST(ByteSource, PlainGzipAndZstdGiveTheSameBytes) {
  TempDir folder;
  for (const size_t size : {0u, 1u, 1000u, 1u << 20}) {
    const auto text = random_text(size, 1);
    const auto plain = folder.write("x.csv", text), gz = folder.write("x.csv.gz", gzip(text)),
               zst = folder.write("x.csv.zst", zstd(text)), unnamed = folder.write("y", gzip(text));
    for (const size_t step : {size_t{7}, size_t{4096}, size_t{1000}, std::max<size_t>(size, 1), size_t{4} << 20}) {
      if (size > 100000 && step == 7) continue;
      for (const auto& path : {plain, gz, zst, unnamed}) EXPECT_EQ(read_all(path, step), text) << path;
    }
  }
}

TEST(ByteSource, MembersAndFramesFollowEachOther) {
  TempDir folder;
  const auto a = random_text(70000, 1), b = random_text(5, 2), c = random_text(300000, 3);
  EXPECT_EQ(read_all(folder.write("x.gz", gzip(a) + gzip(b) + gzip("") + gzip(c)), 1000), a + b + c);
  EXPECT_EQ(read_all(folder.write("p.gz", gzip(a) + std::string(1000, '\0')), 1000), a) << "zero padding";
  EXPECT_EQ(read_all(folder.write("x.zst", zstd(a) + zstd(b) + zstd(c)), 1000), a + b + c);
}

TEST(ByteSource, EveryTruncationIsFound) {
  TempDir folder;
  const auto text = random_text(5000, 1);
  const auto gz = gzip(text), zst = zstd(text);
  for (size_t cut = 4; cut < gz.size(); cut += 37) {
    const auto path = folder.write("t.csv.gz", gz.substr(0, cut));
    EXPECT_EQ(problem(path), path + ": gzip data is cut off: the file ends at byte " + std::to_string(cut) +
                                 " in the middle of the data; copy it again");
  }
  for (size_t cut = 4; cut < zst.size(); cut += 37) {
    const auto path = folder.write("t.csv.zst", zst.substr(0, cut));
    EXPECT_EQ(problem(path), path + ": zstd data is cut off: the file ends at byte " + std::to_string(cut) +
                                 " in the middle of the data; copy it again");
  }
}

TEST(ByteSource, DamageIsFound) {
  TempDir folder;
  auto gz = gzip(random_text(100000, 1));
  for (size_t i = 20000; i < 20040; ++i) gz[i] = static_cast<char>(gz[i] ^ 0x5a);
  EXPECT_THAT(problem(folder.write("d.csv.gz", gz)), ::testing::HasSubstr("d.csv.gz: damaged gzip data near byte"));
  EXPECT_THAT(problem(folder.write("g.csv.gz", gzip("abc") + "garbage")), ::testing::HasSubstr("damaged gzip data"));
  EXPECT_THAT(problem(folder.write("p.csv.gz", "a,b\n1,2\n")), ::testing::HasSubstr("the name says a .gz file"));
  EXPECT_THAT(problem(folder.write("e.csv.zst", "")), ::testing::HasSubstr("but it is empty"));
}

TEST(Files, PatternsAreSortedAndMustMatch) {
  TempDir folder;
  for (const char* name : {"b.csv", "a10.csv", "a9.csv", "c.txt"}) folder.write(name, "x\n");
  const auto dir = folder.path() + "/";
  EXPECT_EQ(expand_files({dir + "*.csv", dir + "c.txt"}),
            (std::vector<std::string>{dir + "a10.csv", dir + "a9.csv", dir + "b.csv", dir + "c.txt"}));
  EXPECT_EQ(expand_files({dir + "none.csv"}), (std::vector<std::string>{dir + "none.csv"}));
  EXPECT_THROW(expand_files({dir + "*.tsv"}), DataError);
  folder.write("[x].csv", "x\n");
  EXPECT_EQ(expand_files({dir + "[x].csv"}), (std::vector<std::string>{dir + "[x].csv"}));
  EXPECT_THROW(stamp_file(dir + "none.csv"), DataError);
}

}  // namespace
}  // namespace mtrank
