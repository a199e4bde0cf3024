#include "framework/train/event_writer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "framework/core/crc32c.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  for (unsigned char c : bytes) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", c);
    out += text;
  }
  return out;
}

// RFC 3720, appendix B.4.
TEST(Crc32c, PublishedValues) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

class EventWriterTest : public TempDirTest {};

// The bytes that TensorBoard's own writer (2.21, EventFileWriter) gives for the same events.
TEST_F(EventWriterTest, SameBytesAsTensorBoard) {
  {
    EventWriter writer(path("e"), 1700000000.5);
    writer.scalars(300, 1700000001.25, std::vector<EventWriter::Scalar>{{"loss/click", 0.5}, {"lr", 1e-3}});
    writer.start_at(7, 1700000002);
  }
  EXPECT_EQ(hex(contents("e")),
            "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b3531102c00000000000000"
            "f4aecc450900005040fc54d94110ac022a1e0a110a0a6c6f73732f636c69636b150000003f0a090a026c72156f12833a"
            "bca092810f000000000000006d532b090900008040fc54d94110073a020801d1e17c88");
}

TEST_F(EventWriterTest, PathsSortInOrder) {
  const std::string first = EventWriter::path_in(dir_, 1700000000.9);
  EXPECT_EQ(first, path("events.out.tfevents.1700000000.0.mtrank"));
  EventWriter writer(first, 0);
  EXPECT_EQ(EventWriter::path_in(dir_, 1700000000.9), path("events.out.tfevents.1700000000.1.mtrank"));
}

TEST_F(EventWriterTest, TensorBoardReadsItAndForgetsWhatAResumeRepeats) {
  const auto write = [&](double seconds, int64_t start, int64_t end, double add) {
    EventWriter writer(EventWriter::path_in(dir_, seconds), seconds);
    if (start > 0) writer.start_at(start, seconds);
    for (int64_t step = start; step < end; ++step)
      writer.scalars(step, seconds, std::vector<EventWriter::Scalar>{{"loss", add + 0.25 * static_cast<double>(step)}});
  };
  write(1700000000, 0, 6, 0);
  write(1700000100, 3, 5, 100);
  const char* python = std::getenv("MTRANK_PYTHON");
  const auto result = testing::run_process(
      {{"/usr/bin/env", python && *python ? python : "python3", MTRANK_SOURCE_DIR "/tests/train/read_events.py", dir_},
       {},
       {}});
  if (result.code == 77 || result.code == 127)
    GTEST_SKIP() << "no python3 with tensorboard here (MTRANK_PYTHON names another interpreter)";
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out),
            nlohmann::json::parse(R"({"loss": [[0, 0], [1, 0.25], [2, 0.5], [3, 100.75], [4, 101.0]]})"));
}

}  // namespace
}  // namespace mtrank
