#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/cuda/job_testing.h"
#ifdef MTRANK_EMULATED
#include <nvtx3/nvToolsExt.h>
#endif

/// Whole steps, launched in other ways: captured, one by one, fused. What must not change their bits.
namespace mtrank {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(CudaJob, CapturedEagerAndInLineStepsAgreeBitForBit) {
  use_wide_relus();
  Run captured(*this, DeviceKind::cuda), eager(*this, DeviceKind::cuda, {.graph = false}),
      in_line(*this, DeviceKind::cuda, {.overlap = false});
  const std::vector<double> losses = captured.train(12);
  EXPECT_EQ(eager.train(12), losses);
  EXPECT_EQ(in_line.train(12), losses);
  EXPECT_EQ(eager.hash(), captured.hash());
  EXPECT_EQ(in_line.hash(), captured.hash());
}

TEST_F(CudaJob, FusedStepsAreThoseThatAreNot) {
  use_wide_relus();
  expect_like_unfused(1e-5);
  model_->config.train.precision = Precision::bf16;
  expect_like_unfused(2e-2);
}

/// The library is not asked for a bias's gradient where the kernel that writes dz sums it.
TEST_F(CudaJob, BiasGradientsAreMadeWithDz) {
  use_wide_relus();
  const auto asked = [&](const LaunchOptions& launch) {
    Run run(*this, DeviceKind::cuda, launch);
    run.train(2);
    const auto rows = nlohmann::json::parse(run.device_->algorithms());
    return std::count_if(rows.begin(), rows.end(),
                         [](const auto& row) { return row.at("epilogue") == "bias_gradient"; });
  };
  const auto all = asked({.fuse = false});
  EXPECT_GT(all, 0);
  EXPECT_EQ(asked({.epilogues = BackwardEpilogues::never}), 0);
  EXPECT_EQ(asked({.epilogues = BackwardEpilogues::always}), all) << "then the library is to do it";
}

TEST_F(CudaJob, FusedStepsFollowTheCpu) {
  use_wide_relus();
  expect_like_cpu(1e-5, 1e-3, 6);
}

#ifdef MTRANK_EMULATED
/// A range is an op's, or that of the first op of those that are launched together.
TEST_F(CudaJob, RangesOfAProfilerAreNamedAfterOps) {
  for (const bool graph : {true, false}) {
    mtrank_nvtx_names().clear();
    Run run(*this, DeviceKind::cuda, {.graph = graph});
    run.train(3);
    std::set<std::string> ops;
    for (const OpNode& node : run.graphs_.training.nodes) ops.insert(node.op->name);
    for (const std::string& name : mtrank_nvtx_names()) EXPECT_EQ(ops.count(name), 1u) << name;
    for (const char* name : {"lookup", "linear", "cross_gradient", "mixture", "loss"})
      EXPECT_EQ(mtrank_nvtx_names().count(name), 1u) << name;
    EXPECT_EQ(mtrank_nvtx_depth(), 0) << "every range has ended";
  }
}

/// What the library cannot fuse, forward or backward, is computed by kernels of our own.
TEST_F(CudaJob, StepsThatTheLibraryWouldNotFuse) {
  use_wide_relus();
  std::vector<emulator::Settings> libraries(6, emulator::settings());
  libraries[0].refused = {CUBLASLT_EPILOGUE_RELU_AUX_BIAS, CUBLASLT_EPILOGUE_BGRADA};
  libraries[1].refused = {CUBLASLT_EPILOGUE_DRELU, CUBLASLT_EPILOGUE_BGRADA};
  libraries[2].other_kernel = {CUBLASLT_EPILOGUE_DRELU, CUBLASLT_EPILOGUE_BGRADA};
  libraries[3].fails = {CUBLASLT_EPILOGUE_DRELU, CUBLASLT_EPILOGUE_BGRADA};
  libraries[4].fails = {CUBLASLT_EPILOGUE_RELU_AUX_BIAS, CUBLASLT_EPILOGUE_BGRADA};
  libraries[5].other_kernel = {CUBLASLT_EPILOGUE_RELU_AUX_BIAS, CUBLASLT_EPILOGUE_BGRADA};
  for (const emulator::Settings& library : libraries) {
    const emulator::WithSettings with(library);
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      model_->config.train.precision = precision;
      Run fused(*this, DeviceKind::cuda), plain(*this, DeviceKind::cuda, {.fuse = false});
      EXPECT_EQ(fused.train(4), plain.train(4));
      EXPECT_EQ(fused.hash(), plain.hash());
    }
  }
}

/// Signs are not kept for a product that the library would mask by them with another kernel only, nor where none is
/// to mask.
TEST_F(CudaJob, SignsThatNobodyUsesAreNotKept) {
  use_wide_relus();
  emulator::Settings library = emulator::settings();
  library.other_kernel = {CUBLASLT_EPILOGUE_DRELU};
  const auto epilogues = [&](BackwardEpilogues which) {
    Run run(*this, DeviceKind::cuda, {.epilogues = which});
    run.train(2);
    return run.device_->algorithms();
  };
  EXPECT_THAT(epilogues(BackwardEpilogues::same_kernel), HasSubstr("\"bias_relu_signs\""));
  EXPECT_THAT(epilogues(BackwardEpilogues::never), Not(HasSubstr("\"bias_relu_signs\"")));
  const emulator::WithSettings with(library);
  EXPECT_THAT(epilogues(BackwardEpilogues::same_kernel), Not(HasSubstr("\"bias_relu_signs\"")));
  EXPECT_THAT(epilogues(BackwardEpilogues::always), HasSubstr("\"bias_relu_signs\""));
}
#endif

}  // namespace
}  // namespace mtrank
