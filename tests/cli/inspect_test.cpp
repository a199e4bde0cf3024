#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/serving/bundle.h"
#include "framework/train/checkpoint.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::ProcessResult;
using testing::run_mtrank;

class InspectTest : public TempDirTest {
 protected:
  void make_bundle(const std::string& name) const {
    Bundle bundle;
    bundle.graph = bundle.input = bundle.features = bundle.tasks = bundle.outputs = bundle.provenance = "{}";
    bundle.config = "name: tiny";
    write_bundle(path(name), bundle);
  }
};

TEST_F(InspectTest, KnowsFilesByTheirContent) {
  make_bundle("a.csv");
  EXPECT_THAT(run_mtrank({"inspect", path("a.csv")}).out, HasSubstr("bundle, format version 1\n"));
  const std::vector<TensorSource> none;
  CheckpointStore(path("run/checkpoints")).save(7, none, R"({"epoch":1})", true);
  EXPECT_THAT(run_mtrank({"inspect", path("run")}).out, HasSubstr("checkpoint of step 7, the best so far\n"));
  make_bundle("run/model.safetensors");
  EXPECT_THAT(run_mtrank({"inspect", path("run")}).out, HasSubstr("  name: tiny\n"));
  const std::string tensors = path("run/checkpoints/step-000000000007/tensors.safetensors");
  EXPECT_THAT(run_mtrank({"inspect", tensors}).out, HasSubstr("not a bundle of mtrank"));
}

TEST_F(InspectTest, WhatItCannotReadExits4) {
  disk::Output(path("model.safetensors")).write("version: 1\n");
  const ProcessResult r = run_mtrank({"inspect", path("model.safetensors")});
  EXPECT_EQ(r.code, 4);
  EXPECT_THAT(r.err, HasSubstr("model.safetensors is not a safetensors file, such as a run's model.safetensors: "));
  EXPECT_EQ(run_mtrank({"inspect", path("missing")}).code, 4);
  EXPECT_EQ(run_mtrank({"inspect", dir_}).code, 4);
}

}  // namespace
}  // namespace mtrank
