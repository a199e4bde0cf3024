#pragma once

#include <gtest/gtest.h>

#include "tests/data/data_testing.h"

namespace mtrank::data_testing {

/// Opens datasets on two files of a log, and keeps what they say.
class DatasetTest : public ::testing::Test {
 protected:
  TempDir folder_;
  std::string train_ = folder_.write("train.csv", log_text(3000, 1));
  std::string valid_ = folder_.write("valid.csv", log_text(500, 2));
  std::vector<std::string> log_;
  Dataset open(const DatasetSpec& spec, int threads = 2) {
    log_.clear();
    return Dataset(spec, threads, [this](const std::string& line) { log_.push_back(line); });
  }
};

}  // namespace mtrank::data_testing
