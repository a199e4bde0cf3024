#include "framework/core/atomic_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "framework/core/atomic_directory.h"
#include "framework/core/error.h"
#include "tests/support/file_modes.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

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

TEST_F(AtomicFileTest, WhatCannotBeWrittenSaysWhatToDo) {
  const auto problem = [&](const std::string& name) {
    try {
      write_file_atomically(path(name), "x");
    } catch (const ResourceError& e) {
      return std::string(e.what());
    }
    return std::string("it was written");
  };
  write_file_atomically(path("file"), "x");
  EXPECT_THAT(problem("no/file"), HasSubstr("No such file or directory: make the directory first"));
  EXPECT_THAT(problem("file/file"), HasSubstr("Not a directory: a part of the path is a file"));
  std::filesystem::create_symlink("nowhere", path("dangling"));
  try {
    disk::make_directory(path("dangling"));
    FAIL() << "it was made";
  } catch (const ResourceError& e) {
    EXPECT_THAT(e.what(), HasSubstr("dangling: File exists: it may be a link to nothing; remove it"));
  }
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

/// Holds a file or directory as the process that writes it does.
class Held {
 public:
  explicit Held(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY)) { EXPECT_EQ(::flock(fd_, LOCK_EX), 0); }
  ~Held() { ::close(fd_); }

 private:
  int fd_;
};

TEST_F(AtomicFileTest, RemovesWhatKilledProcessesLeftOfTheSameNameAndNothingElse) {
  for (const char* name : {"file.partial-1", "file.partial-77-2", "file.partial-78", "other.partial-1",
                           "file.partial-x", "file.partial-", "my-file.partial-1"})
    folder_.write(name, "half");
  std::filesystem::create_directories(path("file.partial-2/in it"));
  const Held held(path("file.partial-78"));
  write_file_atomically(path("file"), "whole");
  EXPECT_THAT(disk::list(dir_), ElementsAre("file", "file.partial-", "file.partial-78", "file.partial-x",
                                            "my-file.partial-1", "other.partial-1"));
}

TEST_F(AtomicFileTest, WritersOfOneNameAndProcessIdDoNotMeet) {
  const std::string mine = path("file.partial-" + std::to_string(::getpid()));
  folder_.write("file.partial-" + std::to_string(::getpid()), "of another container's process");
  const Held held(mine);
  AtomicFile first(path("file")), second(path("file"));
  first.write("first");
  second.write("2nd");
  second.commit();
  EXPECT_EQ(contents("file"), "2nd");
  first.commit();
  EXPECT_EQ(contents("file"), "first");
  EXPECT_EQ(disk::read_all(mine, 100), "of another container's process");
}

TEST_F(AtomicFileTest, WritesNothingThroughWhatHasThePartialsName) {
  const std::string mine = ".partial-" + std::to_string(::getpid());
  folder_.write("victim", "untouched");
  std::filesystem::create_symlink("victim", path("file" + mine));
  ASSERT_EQ(::mkfifo(path("pipe" + mine).c_str(), 0600), 0);
  std::filesystem::create_directories(path("theirs/one"));
  std::filesystem::create_symlink("theirs", path("all" + mine));
  write_file_atomically(path("file"), "whole");
  write_file_atomically(path("pipe"), "whole");
  AtomicDirectory(path("all")).commit();
  EXPECT_EQ(contents("victim"), "untouched");
  EXPECT_EQ(contents("file"), "whole");
  EXPECT_EQ(contents("pipe"), "whole");
  EXPECT_TRUE(disk::list(path("all")).empty());
  EXPECT_THAT(disk::list(path("theirs")), ElementsAre("one"));
}

TEST_F(AtomicFileTest, SyncsADirectoryBeforeTheRenameAndItsParentAfter) {
  disk::FaultScope count;
  AtomicDirectory(path("all")).commit();
  EXPECT_THAT(count.log(), ElementsAre("sync", "rename", "sync"));
}

TEST_F(AtomicFileTest, ADirectoryTakesTheNameWhenItIsWhole) {
  std::filesystem::create_directories(path("all.partial-1/half"));
  std::filesystem::create_directories(path("all.partial-2/half"));
  const Held held(path("all.partial-2"));
  {
    AtomicDirectory all(path("all"));
    EXPECT_THAT(disk::list(dir_), Not(Contains("all")));
  }
  EXPECT_THAT(disk::list(dir_), ElementsAre("all.partial-2"));
  AtomicDirectory all(path("all/"));
  write_file_atomically(all.partial() + "/one", "x");
  all.commit();
  EXPECT_THAT(disk::list(path("all")), ElementsAre("one"));
  EXPECT_THAT(disk::list(dir_), ElementsAre("all", "all.partial-2"));
}

TEST_F(AtomicFileTest, ADirectoryThatCannotTakeItsNameIsRefusedAtOnce) {
  const auto refusal = [](const std::string& name) -> std::string {
    try {
      const AtomicDirectory directory(name);
      return "none";
    } catch (const ConfigError& e) {
      return e.what();
    }
  };
  std::filesystem::create_symlink("nowhere", path("dangling"));
  EXPECT_THAT(refusal(path("dangling")), HasSubstr("dangling is a link to nothing; remove it"));
  EXPECT_THAT(refusal(""), HasSubstr("the name of the directory to make is empty"));
  EXPECT_THAT(refusal(folder_.write("file", "x")), HasSubstr("is a file; choose a directory that is not there yet"));
  EXPECT_THAT(refusal(dir_), HasSubstr("is not empty; choose another directory"));
  std::filesystem::create_directory(path("empty"));
  std::filesystem::create_symlink("empty", path("link"));
  AtomicDirectory(path("link")).commit();
  EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
  EXPECT_TRUE(disk::is_directory(path("link")));
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
