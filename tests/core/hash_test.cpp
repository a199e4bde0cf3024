#include "framework/core/hash.h"

#include <gtest/gtest.h>

namespace mtrank {
namespace {

// Values from the reference implementation's own test vectors and the `xxhsum -H64` tool.
TEST(Hash, KnownValues) {
  EXPECT_EQ(hex64(xxh64("")), "ef46db3751d8e999");
  EXPECT_EQ(hex64(xxh64("a")), "d24ec4f1a98c6e5b");
  EXPECT_EQ(hex64(xxh64("abc")), "44bc2cf5ad770999");
  EXPECT_EQ(hex64(xxh64("", 2654435761u)), "ac75fda2929b17ef");
}

TEST(Hash, PiecesGiveTheSameValue) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += static_cast<char>(i * 7);
  for (const size_t step : {1u, 3u, 31u, 32u, 33u, 999u, 1000u}) {
    Xxh64 hash(5);
    for (size_t at = 0; at < bytes.size(); at += step) hash.add(bytes.data() + at, std::min(step, bytes.size() - at));
    EXPECT_EQ(hash.value(), xxh64(bytes, 5)) << step;
  }
}

TEST(Hash, HexRoundTrip) {
  uint64_t value = 1;
  EXPECT_TRUE(parse_hex64(hex64(0x0123456789abcdefu), &value));
  EXPECT_EQ(value, 0x0123456789abcdefu);
  for (const char* bad : {"", "0", "0123456789abcdeg", "0123456789ABCDEF", "0123456789abcdef0"}) {
    EXPECT_FALSE(parse_hex64(bad, &value)) << bad;
  }
  EXPECT_EQ(value, 0x0123456789abcdefu);
}

}  // namespace
}  // namespace mtrank
