#include "framework/train/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "framework/core/error.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CheckpointTest : public TempDirTest {
 protected:
  /// A checkpoint whose every byte is a function of its step.
  void save(int64_t step, bool best = false, int keep = 2) {
    const std::vector<float> table(1000, static_cast<float>(step));
    CheckpointStore(path("ckpt"), keep)
        .save(step, {{"table", DType::f32, {100, 9}, table.data(), 10}, {"step", DType::i64, {}, &step}},
              "{\"step\":" + std::to_string(step) + ",\"loss\":[0.5]}", best);
  }
  /// The step of the newest whole checkpoint, whose contents are checked; -1 when there is none.
  int64_t load() {
    warnings_.clear();
    const auto checkpoint = store().latest([&](const std::string& message) { warnings_.push_back(message); });
    if (!checkpoint) return -1;
    std::vector<float> table(900);
    checkpoint->tensors().read(checkpoint->tensors().require("table", DType::f32, {100, 9}), table.data());
    EXPECT_EQ(table, std::vector<float>(900, static_cast<float>(checkpoint->step())));
    EXPECT_EQ(checkpoint->state_json(), "{\"step\":" + std::to_string(checkpoint->step()) + ",\"loss\":[0.5]}");
    return checkpoint->step();
  }
  CheckpointStore store() const { return CheckpointStore(path("ckpt")); }
  std::vector<int64_t> steps() const {
    std::vector<int64_t> steps;
    for (const auto& name : store().list()) steps.push_back(name.step);
    return steps;
  }
  void overwrite(const std::string& file, uint64_t at, char byte) {
    std::string bytes = contents(file);
    bytes.at(at) = byte;
    disk::Output(path(file)).write(bytes);
  }

  std::vector<std::string> warnings_;
};

TEST_F(CheckpointTest, NothingSavedIsNoCheckpoint) { EXPECT_EQ(load(), -1); }

TEST_F(CheckpointTest, TheNewestLoadsAndTheBestIsKept) {
  save(10);
  save(20, true);
  save(30);
  save(40);
  save(50);
  EXPECT_EQ(load(), 50);
  EXPECT_THAT(steps(), ElementsAre(20, 40, 50));
  EXPECT_EQ(store().best([](auto&) {})->step(), 20);
  save(60, true);
  EXPECT_THAT(steps(), ElementsAre(50, 60));
}

TEST_F(CheckpointTest, AStepSavedAgainReplacesItself) {
  save(10);
  save(20);
  save(20, true, 1);
  EXPECT_THAT(steps(), ElementsAre(20));
  const auto checkpoint = store().latest([](auto&) {});
  EXPECT_TRUE(checkpoint->best());
  for (int i = 0; i < 3; ++i) save(20);
  EXPECT_THAT(steps(), ElementsAre(20, 20, 20)) << "two, and the best";
  EXPECT_EQ(load(), 20);
  EXPECT_FALSE(store().latest([](auto&) {})->best()) << "the last one saved";
}

TEST_F(CheckpointTest, FilesAreSyncedBeforeTheRenameAndTheManifestIsLast) {
  save(10);
  disk::FaultScope count;
  save(20, false, 1);
  // state, tensors (header, table, padding, step), manifest; their directory; the rename; the directory of all.
  EXPECT_THAT(count.log(),
              ElementsAre("create", "create", "write", "sync", "create", "write", "write", "write", "write", "sync",
                          "create", "write", "sync", "sync", "rename", "sync", "rename", "remove"));
}

TEST_F(CheckpointTest, EveryOperationFailedOnceLeavesAWholeCheckpoint) {
  for (const int error : {ENOSPC, EIO, disk::FaultScope::stop}) {
    bool failed = true;
    for (int64_t at = 0; failed; ++at) {
      disk::remove(path("ckpt"));
      save(10);
      std::vector<std::string> log;
      failed = false;
      try {
        const disk::FaultScope fault(at, error);
        try {
          save(20, true, 1);
        } catch (...) {
          log = fault.log();
          throw;
        }
      } catch (const ResourceError& e) {
        failed = true;
        EXPECT_THAT(e.what(), HasSubstr(path("ckpt")));
      } catch (const disk::Stopped&) {
        failed = true;
      }
      const bool renamed = !failed || (std::count(log.begin(), log.end(), "rename") > (log.back() == "rename" ? 1 : 0));
      EXPECT_EQ(load(), renamed ? 20 : 10) << "operation " << at << ", error " << error;
      EXPECT_THAT(warnings_, ElementsAre());
      save(30, false, 1);  // and the next save works and cleans up
      EXPECT_EQ(load(), 30);
      for (const std::string& name : disk::list(path("ckpt"))) EXPECT_THAT(name, testing::StartsWith("step-"));
    }
  }
}

TEST_F(CheckpointTest, AKilledProcessLeavesAWholeCheckpoint) {
  save(1);
  for (int round = 0; round < 5; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int64_t step = load() + 1;; ++step) save(step);
    }
    ::usleep(20000 + 7000 * static_cast<unsigned>(round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_GE(load(), 1);
    EXPECT_THAT(warnings_, ElementsAre());
  }
}

TEST_F(CheckpointTest, ADamagedOneIsPassedOverWithAWarning) {
  save(10);
  save(20);
  overwrite("ckpt/step-000000000020/tensors.safetensors", 1000, 'x');
  EXPECT_EQ(load(), 10);
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_THAT(warnings_[0], HasSubstr("step-000000000020 cannot be used, the one before it is tried"));
  EXPECT_THAT(warnings_[0], HasSubstr("tensors.safetensors is damaged: it does not match its MANIFEST"));
  save(15, false, 1);  // the run goes on from 10; the damaged one must not push the good ones out
  EXPECT_EQ(load(), 15);
  EXPECT_THAT(steps(), ElementsAre(15));
}

TEST_F(CheckpointTest, AllDamagedIsAnErrorAndNotAFreshStart) {
  save(10);
  const std::string dir = "ckpt/step-000000000010/";
  const auto refusal = [&]() -> std::string {
    try {
      load();
    } catch (const FileError& e) {
      return e.what();
    }
    return "accepted";
  };
  const std::string manifest = contents(dir + "MANIFEST");
  const std::string state = contents(dir + "state.json");
  overwrite(dir + "MANIFEST", manifest.size() / 2, '~');
  EXPECT_THAT(refusal(), HasSubstr("MANIFEST is damaged: it does not match the hash at its end"));
  disk::Output(path(dir + "MANIFEST")).write(manifest + "\n");
  EXPECT_THAT(refusal(), HasSubstr("MANIFEST is damaged"));
  disk::Output(path(dir + "MANIFEST")).write("mtrank-checkpoint 2\n");
  EXPECT_THAT(refusal(), HasSubstr("has format version 2; this mtrank reads version 1"));
  disk::remove(path(dir + "MANIFEST"));
  EXPECT_THAT(refusal(), HasSubstr("cannot read " + path(dir) + "MANIFEST"));
  disk::Output(path(dir + "MANIFEST")).write(manifest);
  disk::Output(path(dir + "state.json")).write(state.substr(1));
  EXPECT_THAT(refusal(), HasSubstr("state.json has 23 bytes; its MANIFEST says 24"));
  disk::remove(path(dir + "state.json"));
  EXPECT_THAT(refusal(), HasSubstr("start again in an empty directory"));
}

TEST_F(CheckpointTest, SpaceIsCheckedBeforeAnythingIsWritten) {
  save(10);
  disk::FaultScope fault;
  fault.set_free_space(1 << 20);
  EXPECT_THROW(save(20), ResourceError);
  EXPECT_THAT(fault.log(), ElementsAre());
  EXPECT_EQ(load(), 10);
}

TEST_F(CheckpointTest, TheSameStateGivesTheSameBytes) {
  save(10);
  const std::string tensors = contents("ckpt/step-000000000010/tensors.safetensors");
  const std::string manifest = contents("ckpt/step-000000000010/MANIFEST");
  disk::remove(path("ckpt"));
  save(10);
  EXPECT_EQ(contents("ckpt/step-000000000010/tensors.safetensors"), tensors);
  EXPECT_EQ(contents("ckpt/step-000000000010/MANIFEST"), manifest);
}

TEST_F(CheckpointTest, Describe) {
  save(10, true);
  const std::string checkpoint = path("ckpt/step-000000000010");
  EXPECT_TRUE(is_checkpoint(checkpoint));
  EXPECT_FALSE(is_checkpoint(path("ckpt")));
  EXPECT_EQ(describe_checkpoint(checkpoint),
            "checkpoint of step 10, the best so far\n"
            "state\n"
            "  loss: [0.5]\n"
            "  step: 10\n"
            "tensors: 2, 3608 B\n"
            "  table  f32   [100, 9]  3600 B\n"
            "  step   i64   []        8 B\n");
  disk::Output(checkpoint + "/state.json")
      .write("{\"x\":" + std::string(1000000, '[') + std::string(1000000, ']') + "}");
  EXPECT_THROW(describe_checkpoint(checkpoint), FileError);
}

}  // namespace
}  // namespace mtrank
