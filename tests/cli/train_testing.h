#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

/// `mtrank train` as a user meets it: its run directory, what stops it, what continues it.
namespace mtrank {

using testing::Child;
using testing::Process;
using testing::ProcessResult;
using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

constexpr const char* kTraining = R"(train: {batch_size: 50, epochs: 4, threads: 2, checkpoint: {every: 7 steps}}
eval: {every: epoch, metrics: [auc, logloss], segments: [day], best: mean.logloss})";

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class TrainTest : public TempDirTest {
 protected:
  void SetUp() override {
    disk::Output(path("train.csv")).write(tiny_log(400, 1));
    disk::Output(path("valid.csv")).write(tiny_log(150, 2));
    const std::string valid = path("valid.csv");
    const std::string data = "train: \"" + path("train.csv") + "\", valid: \"" + valid + "\", test: \"" + valid + "\"";
    disk::Output(path("config.yaml")).write(tiny_config(data, kTraining));
  }
  Process command(const std::string& run, const Arguments& more) const {
    Process process{{MTRANK_BINARY, "train", path("config.yaml"), "--out", path(run)}, {}, ""};
    process.argv.insert(process.argv.end(), more.begin(), more.end());
    return process;
  }
  ProcessResult train(const std::string& run, const Arguments& more = {}) const {
    return testing::run_process(command(run, more));
  }
  /// The bundle of a run that must succeed.
  std::string bundle(const std::string& run, const Arguments& more = {}) const {
    const ProcessResult r = train(run, more);
    EXPECT_EQ(r.code, 0) << r.out << r.err;
    return contents(run + "/model.safetensors");
  }
  std::vector<std::string> checkpoints(const std::string& run) const {
    std::vector<std::string> found;
    if (!disk::is_directory(path(run + "/checkpoints"))) return found;
    for (const std::string& name : disk::list(path(run + "/checkpoints")))
      if (name.starts_with("step-")) found.push_back(name);
    std::sort(found.begin(), found.end());
    return found;
  }
  Json newest_state(const std::string& run) const {
    return Json::parse(contents(run + "/checkpoints/" + checkpoints(run).back() + "/state.json"));
  }
  std::vector<Json> metrics(const std::string& run) const {
    std::vector<Json> lines;
    for (const std::string& line : lines_of(contents(run + "/metrics.jsonl"))) lines.push_back(Json::parse(line));
    return lines;
  }
  static Arguments resuming(Arguments run) {
    run.push_back("--resume");
    return run;
  }
  /// Returns when `ready`, or when the run has ended.
  static void wait_for(Child& run, const std::function<bool()>& ready) {
    while (run.running() && !ready()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  /// Starts a run, sends a signal once `ready`, and returns how it ended.
  int interrupted(const std::string& run, const Arguments& more, int signal, const std::function<bool()>& ready) const {
    Child child(command(run, more), path(run + ".log"));
    wait_for(child, ready);
    child.signal(signal);
    return child.wait();
  }
};

}  // namespace mtrank
