#include "framework/core/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "framework/core/error.h"
#include "tests/support/file_modes.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class AtomicFileTest : public TempDirTest {};

TEST_F(AtomicFileTest, ReplacesTheFileAndLeavesNothingElse) {
  write_file_atomically(path("file"), "old");
  write_file_atomically(path("file"), "the new one");
  EXPECT_EQ(contents("file"), "the new one");
  EXPECT_THAT(disk::list(dir_), ElementsAre("file"));
}

TEST_F(AtomicFileTest, WithoutCommitNothingChanges) {
  write_file_atomically(path("file"), "old");
  {
    AtomicFile file(path("file"));
    file.write("half");
  }
  EXPECT_EQ(contents("file"), "old");
  EXPECT_THAT(disk::list(dir_), ElementsAre("file"));
}

TEST_F(AtomicFileTest, SyncsTheFileBeforeTheRenameAndTheDirectoryAfter) {
  disk::FaultScope count;
  write_file_atomically(path("file"), "x");
  EXPECT_THAT(count.log(), ElementsAre("create", "write", "sync", "rename", "sync"));
}

TEST_F(AtomicFileTest, EveryOperationFailedOnceLeavesTheOldFileOrTheNew) {
  for (const int error : {ENOSPC, EIO, disk::FaultScope::stop}) {
    for (int64_t at = 0; at < 5; ++at) {
      write_file_atomically(path("file"), "the old one");
      disk::FaultScope fault(at, error);
      try {
        write_file_atomically(path("file"), "the new one");
        FAIL() << "operation " << at << " did not fail";
      } catch (const ResourceError& e) {
        EXPECT_NE(error, disk::FaultScope::stop);
        EXPECT_THAT(e.what(), HasSubstr(dir_));
      } catch (const disk::Stopped&) {
        EXPECT_EQ(error, disk::FaultScope::stop);
      }
      EXPECT_EQ(contents("file"), at < 4 ? "the old one" : "the new one") << "operation " << at;
    }
  }
}

TEST_F(AtomicFileTest, ErrorsNameThePathTheReasonAndTheFix) {
  try {
    disk::FaultScope fault(1, ENOSPC);
    write_file_atomically(path("file"), "x");
    FAIL();
  } catch (const ResourceError& e) {
    EXPECT_THAT(e.what(), HasSubstr(path("file")));
    EXPECT_THAT(e.what(), HasSubstr("No space left on device: free some space"));
  }
  EXPECT_THROW(write_file_atomically(path("no/such/dir"), "x"), ResourceError);
}

TEST_F(AtomicFileTest, AReadOnlyDirectoryIsAResourceError) {
  write_file_atomically(path("file"), "the old one");
  ::chmod(dir_.c_str(), 0555);
  const ObeyFileModes as_other_users_do;
  try {
    write_file_atomically(path("file"), "x");
    FAIL() << "it was written";
  } catch (const ResourceError& e) {
    EXPECT_THAT(e.what(), HasSubstr("cannot create " + path("file")));
    EXPECT_THAT(e.what(), HasSubstr("Permission denied"));
  }
  EXPECT_EQ(contents("file"), "the old one");
  ::chmod(dir_.c_str(), 0755);
}

TEST_F(AtomicFileTest, FollowsALinkAndWritesADeviceInPlace) {
  write_file_atomically(path("real"), "old");
  std::filesystem::create_symlink(path("real"), path("link"));
  write_file_atomically(path("link"), "new");
  EXPECT_EQ(contents("real"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
  EXPECT_NO_THROW(write_file_atomically("/dev/null", "x"));
}

TEST_F(AtomicFileTest, ADeviceThatIsFullSaysSo) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  try {
    write_file_atomically("/dev/full", "x");
    FAIL();
  } catch (const ResourceError& e) {
    EXPECT_THAT(e.what(), HasSubstr("cannot write /dev/full: No space left on device"));
  }
}

TEST_F(AtomicFileTest, SpaceIsCheckedWithBothNumbers) {
  EXPECT_NO_THROW(disk::require_space(dir_, 1, "the checkpoint"));
  disk::FaultScope fault;
  fault.set_free_space(3 << 20);
  try {
    disk::require_space(dir_, 5 << 20, "the checkpoint");
    FAIL();
  } catch (const ResourceError& e) {
    EXPECT_THAT(e.what(), HasSubstr("the checkpoint needs 5.0 MiB, but only 3.0 MiB are free in " + dir_));
  }
}

TEST_F(AtomicFileTest, ReadingSaysWhatIsWrong) {
  EXPECT_THROW(disk::read_all(path("missing"), 10), FileError);
  EXPECT_THROW(disk::read_all(dir_, 10), FileError);
  write_file_atomically(path("file"), "twelve bytes");
  EXPECT_THROW(disk::read_all(path("file"), 11), FileError);
  const disk::Input file(path("file"));
  char buffer[8];
  EXPECT_THROW(file.read(8, buffer, 8), FileError);
}

}  // namespace
}  // namespace mtrank
