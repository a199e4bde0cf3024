#include "framework/train/run_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "framework/core/error.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;

class RunDirTest : public TempDirTest {
 protected:
  std::string out() const { return path("a/run"); }
  template <class E>
  std::string message(bool resume) {
    try {
      RunDir dir(out(), resume);
    } catch (const E& e) {
      return e.what();
    }
    return "no error";
  }
};

TEST_F(RunDirTest, CreatesAndLocks) {
  RunDir dir(out(), false);
  EXPECT_TRUE(disk::is_file(out() + "/lock"));
  EXPECT_EQ(dir.metrics(), out() + "/metrics.jsonl");
  EXPECT_THAT(message<InUseError>(false), HasSubstr("process " + std::to_string(::getpid()) + " holds"));
  EXPECT_THAT(message<InUseError>(true), HasSubstr("in use")) << "--resume does not share a directory either";
}

TEST_F(RunDirTest, NotEmptyNeedsResume) {
  disk::make_directory(out());
  std::ofstream(out() + "/notes.txt") << "x";
  EXPECT_THAT(message<ConfigError>(false), HasSubstr("is not empty (it holds notes.txt); give --resume"));
  EXPECT_FALSE(disk::is_file(out() + "/lock")) << "nothing is put into somebody else's directory";
  EXPECT_EQ(message<Error>(true), "no error");
}

TEST_F(RunDirTest, ARunningOwnerIsReportedAsSuchAndNotAsAFullDirectory) {
  RunDir dir(out(), false);
  std::ofstream(dir.config()) << "x";
  EXPECT_THAT(message<InUseError>(false), HasSubstr("in use"));
}

TEST_F(RunDirTest, ALockLeftBehindIsNoLock) {
  { RunDir dir(out(), false); }
  EXPECT_TRUE(disk::is_file(out() + "/lock"));
  EXPECT_EQ(message<Error>(false), "no error");
}

TEST_F(RunDirTest, AnotherProcessHoldsItUntilItIsKilled) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    RunDir dir(out(), false);
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(message<InUseError>(false), HasSubstr("process " + std::to_string(child) + " holds"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(message<Error>(false), "no error");
  ::close(ready[0]), ::close(ready[1]);
}

TEST_F(RunDirTest, AFileIsNoDirectory) {
  disk::make_directory(path("a"));
  std::ofstream(out()) << "x";
  EXPECT_THAT(message<ConfigError>(true), HasSubstr("is a file; give a directory"));
}

TEST_F(RunDirTest, EnvironmentSaysWhatRan) {
  const auto json = nlohmann::json::parse(environment_json("cpu", 3, "", ""));
  EXPECT_EQ(json["mtrank"], MTRANK_VERSION);
  EXPECT_EQ(json["threads"], 3);
  for (const char* key : {"compiler", "cpu", "kernels", "cores", "device", "memory_bytes"})
    EXPECT_TRUE(json.contains(key)) << key;
}

}  // namespace
}  // namespace mtrank
