#include "framework/core/host.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

class HostMemoryTest : public ::testing::Test {
 protected:
  void file(const std::string& path, const std::string& text) {
    const std::filesystem::path full = dir_ / path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  HostMemory read() { return host_memory(dir_.path()); }
  void meminfo() { file("proc/meminfo", "MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:    8000 kB\n"); }
  TempDir dir_;
};

TEST_F(HostMemoryTest, WithoutCgroupTheBudgetIsWhatIsAvailable) {
  meminfo();
  EXPECT_EQ(read().total, 16000 * 1024);
  EXPECT_FALSE(read().cgroup_limit);
  EXPECT_EQ(read().budget(), 8000 * 1024);
}

TEST_F(HostMemoryTest, TheTightestLevelOfACgroupCounts) {
  meminfo();
  file("proc/self/cgroup", "0::/a/b\n");
  file("sys/fs/cgroup/a/memory.max", "1000000\n");
  file("sys/fs/cgroup/a/memory.current", "300000\n");
  file("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 100000\n");
  file("sys/fs/cgroup/a/b/memory.max", "max\n");
  EXPECT_EQ(read().cgroup_limit, 1000000);
  EXPECT_EQ(read().cgroup_used, 200000);
  EXPECT_EQ(read().budget(), 800000);
}

TEST_F(HostMemoryTest, ReadsTheFirstVersionOfCgroups) {
  meminfo();
  file("proc/self/cgroup", "7:cpu:/x\n4:memory:/\n");
  file("sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n");
  file("sys/fs/cgroup/memory/memory.usage_in_bytes", "6000\n");
  EXPECT_EQ(read().cgroup_limit, 5000);
  EXPECT_EQ(read().budget(), -1000);
  file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_FALSE(read().cgroup_limit);
}

TEST(Host, KnowsItself) {
  EXPECT_GT(host_memory().total, 0);
  EXPECT_GT(resident_bytes(), 1 << 20);
  EXPECT_GE(peak_resident_bytes(), resident_bytes());
  EXPECT_GE(host_cores(), 1);
  EXPECT_NE(cpu_model(), "");
}

}  // namespace
}  // namespace mtrank
