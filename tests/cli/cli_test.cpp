#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::ProcessResult;
using testing::run_mtrank;
using testing::run_process;

TEST(Cli, VersionGoesToStdout) {
  const ProcessResult r = run_mtrank({"--version"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(r.out, "mtrank " MTRANK_VERSION "\n");
}

TEST(Cli, HelpListsEveryCommandOfTheTable) {
  const ProcessResult r = run_mtrank({"--help"});
  EXPECT_EQ(r.code, 0);
#define MTRANK_COMMAND(name, help) EXPECT_THAT(r.out, HasSubstr(#name));
#include "framework/cli/commands.def"
#undef MTRANK_COMMAND
}

TEST(Cli, EveryCommandHasHelp) {
#define MTRANK_COMMAND(name, help) EXPECT_EQ(run_mtrank({#name, "--help"}).code, 0) << #name;
#include "framework/cli/commands.def"
#undef MTRANK_COMMAND
}

TEST(Cli, UsageErrorsExit2) {
  EXPECT_EQ(run_mtrank({}).code, 2);
  EXPECT_EQ(run_mtrank({"doctor", "--no-such-option"}).code, 2);
  const ProcessResult r = run_mtrank({"docter"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("error: there is no command `docter`. The commands are: "));
  EXPECT_EQ(r.out, "");
}

TEST(Cli, DoctorSaysWhatWasBuiltAndWhatIsMissing) {
  const ProcessResult r = run_mtrank({"doctor"}, {"MTRANK_ISA=scalar"});
  EXPECT_EQ(r.code, 0) << r.err;
  for (const char* part : {"mtrank          " MTRANK_VERSION, "compiler", "yaml-cpp        0.", "zstd            1.",
                           "kernels         scalar", "cores", "memory", "cgroup limit", "Missing", "cuda"})
    EXPECT_THAT(r.out, HasSubstr(part));
}

TEST(Cli, AnUnknownInstructionSetIsAUsageError) {
  const ProcessResult r = run_mtrank({"doctor"}, {"MTRANK_ISA=sse9"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("MTRANK_ISA=sse9 is not one of scalar, avx2, avx512"));
}

ProcessResult shell(const std::string& command) {
  return run_process({{"bash", "-c", command}, {"MTRANK=" MTRANK_BINARY}, ""});
}

TEST(Cli, AFullDiskBehindStdoutIsAnError) {
  const ProcessResult r = shell("$MTRANK doctor > /dev/full");
  EXPECT_EQ(r.code, 5);
  EXPECT_THAT(r.err, HasSubstr("No space left on device"));
}

TEST(Cli, AReaderThatLeavesIsNoError) {
  const ProcessResult r = shell("set -o pipefail; $MTRANK doctor | true");
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.err, "");
}

}  // namespace
}  // namespace mtrank
