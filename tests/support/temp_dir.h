#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "framework/core/fs.h"

namespace mtrank {

/// A fixture with an empty directory of its own, gone when the test ends.
class TempDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    dir_ =
        "/tmp/mtrank_" + std::string(test->test_suite_name()) + "_" + test->name() + "_" + std::to_string(::getpid());
    for (char& c : dir_) c = c == '/' && &c > &dir_[5] ? '_' : c;
    disk::remove(dir_);
    disk::make_directory(dir_);
  }
  void TearDown() override { disk::remove(dir_); }
  std::string path(const std::string& name) const { return dir_ + "/" + name; }
  std::string contents(const std::string& name) const { return disk::read_all(path(name), 1 << 30); }

  std::string dir_;
};

}  // namespace mtrank
