#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "framework/embedding/accelerator.h"
#include "framework/embedding/ceilings.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

/// `mtrank bench`, `plan` and `doctor` with a GPU. Where there is none, the program is that of the emulated one.
namespace mtrank {
namespace {

using ::testing::HasSubstr;
using testing::ProcessResult;
using Json = nlohmann::json;

constexpr const char* kConfig = R"(
data: {train: nowhere.csv}
labels: {click: {}, stars: {type: regression}}
features:
  user: {type: id}
  item: {type: id}
  seen: {type: ids, table: item, max_len: 7}
  nums: {type: dense, columns: [a, b, c]}
defaults: {table: {dim: 4}}
tables: {user: {ids: hash, rows: 500}}
model:
  cross: {type: dcn_v2, from: features, layers: 1}
  experts: {type: mmoe, from: cross, experts: 2, hidden: [8]}
tasks:
  click: {tower: {from: experts, hidden: [4]}}
  stars: {only_when: click == 1, tower: {from: experts, hidden: [4]}}
train: {batch_size: 32, dense_optimizer: {type: adam}, sparse_optimizer: {type: adagrad}}
)";

class CudaBench : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    if (!accelerator_present(&why)) GTEST_SKIP() << why;
    std::ofstream(dir_ / "c.yaml") << kConfig;
  }
  ProcessResult run(const std::string& command, std::vector<std::string> more = {}) {
    std::vector<std::string> argv = {program(), command};
    if (command != "doctor") argv.push_back(dir_ / "c.yaml");
    argv.insert(argv.end(), more.begin(), more.end());
    return testing::run_process({argv, {}, ""});
  }
  static std::string program() { return testing::from_environment("MTRANK_CUDA_BINARY", MTRANK_CUDA_BINARY); }
  Json json() { return Json::parse(testing::read_text(dir_ / "out.json")); }

  TempDir dir_;
};

TEST_F(CudaBench, TimesStepsOnBatchesThatStayAndOnBatchesThatAreCopied) {
  const ProcessResult r = run("bench", {"--device", "cuda", "--rows-cap", "1000", "--steps", "3", "--threads", "2",
                                        "--set", "train.precision=bf16", "--json", dir_ / "out.json"});
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"bf16", "batch 32", "resident on the device", "from the host's memory", "samples/s"})
    EXPECT_THAT(r.out, HasSubstr(part));
  const Json out = json();
  EXPECT_EQ(out["rates"]["resident on the device"]["steps"], 3);
  EXPECT_GT(out["rates"]["from the host's memory"]["samples_per_s"].get<double>(), 0);
  EXPECT_TRUE(out["environment"].contains("driver"));
  EXPECT_GT(out["memory"]["tables"].get<int64_t>(), 500 * 4 * 4);
  EXPECT_TRUE(out["products"].at(0).contains("algorithm"));
  // Ids a row: 1 + 1 + 7, rows of 4 floats; a multiply and an add each.
  EXPECT_EQ(out["ops"]["lookup"]["flops"], 32 * (9 * 4 + 3 * 4));
}

TEST_F(CudaBench, ProfilesEveryPartBesideTheCeilings) {
  const ProcessResult r = run("bench", {"--device", "cuda", "--rows-cap", "1000", "--steps", "2", "--threads", "2",
                                        "--profile", "--ceiling-size", "64", "--json", dir_ / "out.json"});
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"copy ", "random rows of 512 bytes", "lookup", "table update", "sum "})
    EXPECT_THAT(r.out, HasSubstr(part));
  for (const char* column : {" ms ", " share ", " MB ", " GFLOP ", " TB/s ", " TFLOP/s ", " of ceiling ", " gap, ms"})
    EXPECT_THAT(r.out, HasSubstr(column));
  const Json out = json();
  double flops = 0;
  for (const auto& [name, op] : out["ops"].items()) {
    EXPECT_GT(op["ms"].get<double>(), 0) << name;
    EXPECT_GT(op["ceiling_ms"].get<double>(), 0) << name;
    flops += op["flops"].get<double>();
  }
  EXPECT_GT(flops, 0);
  // Two single ids and a list of 7: rows of 4 floats are read for each, and written for the list's mean alone.
  EXPECT_EQ(out["ops"]["lookup_gradient"]["bytes"], 32 * (9 * 4 + 4 * 4 * 4));
  for (const char* phase : {"sort ids", "norm and finite check", "dense update", "table update"})
    EXPECT_GT(out["phases"][phase]["bytes"].get<double>(), 0) << phase;
}

TEST_F(CudaBench, ProfilesTheShardsOfAStepTogether) {
  const auto profile = [&](const char* shards) {
    const ProcessResult r = run("bench", {"--device", "cuda", "--rows-cap", "1000", "--steps", "2", "--threads", "2",
                                          "--profile", "--ceiling-size", "64", "--json", dir_ / "out.json", "--set",
                                          std::string("train.logical_shards=") + shards});
    EXPECT_EQ(r.code, 0) << r.err;
    return json();
  };
  const Json one = profile("1"), four = profile("4");
  EXPECT_FALSE(one["phases"].contains("fold gradients"));
  EXPECT_EQ(four["phases"]["fold gradients"]["bytes"],
            9 * one["phases"]["norm and finite check"]["bytes"].get<double>());
  EXPECT_EQ(four["ops"]["lookup"]["flops"], one["ops"]["lookup"]["flops"]);
}

TEST_F(CudaBench, ReadsBinaryFiles) {
  const ProcessResult made = testing::run_process(
      {{program(), "synth", "--like", dir_ / "c.yaml", "--rows-cap", "1000", "--rows", "200", "--out", dir_ / "files"},
       {},
       ""});
  ASSERT_EQ(made.code, 0) << made.err;
  const ProcessResult r = run("bench", {"--device", "cuda", "--rows-cap", "1000", "--steps", "2", "--threads", "2",
                                        "--data", dir_ / "files", "--json", dir_ / "out.json"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_GT(json()["files"]["samples_per_s"].get<double>(), 0);
}

TEST_F(CudaBench, PlansTheMemoryOfTheGpuWithoutOne) {
  const ProcessResult r = run("plan", {"--device", "cuda", "--vocabulary-rows", "100"});
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"predicted memory of the host", "predicted memory of the GPU, fp32", "tables", "peak"})
    EXPECT_THAT(r.out, HasSubstr(part));
  const ProcessResult four =
      run("plan", {"--device", "cuda", "--vocabulary-rows", "100", "--set", "train.logical_shards=4"});
  ASSERT_EQ(four.code, 0) << four.err;
  EXPECT_THAT(four.out, HasSubstr("batch 32 in 4 shards of 8"));
}

TEST_F(CudaBench, DoctorNamesToolkitLibraryAndGpu) {
  const ProcessResult r = run("doctor");
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"cuda ", "cublaslt ", "gpu ", "compute capability"}) EXPECT_THAT(r.out, HasSubstr(part));
}

TEST_F(CudaBench, CeilingsAreMeasuredByShapeAndPrecision) {
  const ProductShape shapes[] = {{"one", 32, 48, 64}, {"two at once", 16, 32, 64, 2}};
  const Ceilings all = measure_ceilings(shapes, {1 << 16, 1 << 18, 256, 3});
  EXPECT_GT(all.copy, 0);
  ASSERT_EQ(all.gather.size(), 3u);
  for (const auto& [bytes, rate] : all.gather) EXPECT_GT(rate, 0) << bytes;
  EXPECT_EQ(all.gather_of(300), all.gather[1].second);
  EXPECT_EQ(all.gather_of(16), all.gather[0].second);
  ASSERT_EQ(all.products.size(), 6u);
  for (const Ceilings::Product& p : all.products)
    EXPECT_GT(p.flops_per_second, 0) << p.shape.name << " " << p.precision;
  EXPECT_EQ(all.best_product("int8"), 0);
  EXPECT_EQ(measure_ceilings(shapes, {1 << 16, 1 << 18, 256, 3}, "bf16").products.size(), 2u);
}

}  // namespace
}  // namespace mtrank
