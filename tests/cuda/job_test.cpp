#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "framework/core/error.h"
#include "framework/core/hash.h"
#include "framework/embedding/accelerator.h"
#include "framework/ops/loss.h"
#include "framework/train/accelerated_device.h"
#include "framework/train/train_device.h"
#include "models/layer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#ifdef MTRANK_EMULATED
#include <cublasLt.h>

#include "tests/emulator/emulator.h"
#endif

/// A whole job on the GPU against the CPU: steps, scores, memory, and what must not change its bits.
namespace mtrank {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kRows = 70, kBatch = 16;
/// Of weights in bf16: the first steps of Adam are as large whatever the gradient, so a small one counts by its sign.
constexpr double kAdamOfSigns = 0.2;

/// ‖a - b‖ / ‖b‖.
double distance(const float* a, const float* b, int64_t n) {
  double difference = 0, size = 0;
  for (int64_t i = 0; i < n; ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / std::max(size, 1e-30));
}

class CudaJob : public TempDirTest {
 protected:
  void SetUp() override {
    std::string why;
    if (!accelerator_present(&why)) GTEST_SKIP() << why;
    disk::Output(path("train.csv")).write(tiny_log(kRows, 1));
    use({});
    ids_per_row_ = {{"items", 2}};
  }
  void use(const TinyParts& parts) {
    model_ = std::make_unique<TinyModel>(path("train.csv"), "{metrics: [auc, logloss]}", parts);
    model_->config.train.batch_size = kBatch;
  }

  /// A device with a state of its own, that has trained for some steps.
  struct Run {
    Run(CudaJob& test, DeviceKind kind, LaunchOptions launch = {})
        : test_(test),
          config_(test.model_->config),
          graphs_(build_graphs(config_, table_rows(test.model_->data->transforms()))) {
      config_.train.device = kind;
      state_ = std::make_unique<ModelState>(config_, graphs_.training);
      device_ = open_train_device(
          {config_, graphs_, test.model_->data->schema(), *state_, test.pool_, shards_, test.ids_per_row_, launch});
      device_->initialize(static_cast<uint64_t>(config_.seed));
      source_ = test.model_->data->train({.batch_size = kBatch, .shuffle = true, .seed = 1});
    }
    /// Losses of `steps` more steps, task by task.
    std::vector<double> train(int steps) {
      std::vector<double> losses;
      int under_way = 0;
      const auto collect = [&] {
        const StepResult result = device_->collect();
        losses.insert(losses.end(), result.loss.begin(), result.loss.end());
        norms_.push_back(result.gradient_norm);
        --under_way;
      };
      for (int i = 0; i < steps; ++i) {
        next();
        device_->submit(batch_, ++step_, 1);
        if (++under_way == device_->depth()) collect();
      }
      while (under_way) collect();
      return losses;
    }
    void next() {
      while (!source_->next(batch_)) source_->seek(++epoch_, 0);
    }
    uint64_t hash() {
      device_->download();
      Xxh64 hash;
      for (const TensorSource& tensor : state_->everything())
        write_tensor(tensor, [&](const void* data, size_t size) { hash.add(data, size); });
      return hash.value();
    }

    CudaJob& test_;
    Config config_;
    Graphs graphs_;
    const int64_t shards_ = 1;
    std::unique_ptr<ModelState> state_;
    std::unique_ptr<TrainDevice> device_;
    std::unique_ptr<BatchSource> source_;
    Batch batch_;
    int64_t step_ = 0, epoch_ = 0;
    std::vector<double> norms_;
  };

  /// Losses and weights of some steps on both devices.
  void expect_like_cpu(double loss_bound, double weight_bound, int steps = 12) {
    Precision precision = model_->config.train.precision;
    model_->config.train.precision = Precision::fp32;
    Run cpu(*this, DeviceKind::cpu);
    model_->config.train.precision = precision;
    Run cuda(*this, DeviceKind::cuda);
    if (precision == Precision::fp32) {
      EXPECT_EQ(cuda.hash(), cpu.hash()) << "initial weights and state are the same bits";
    }
    const std::vector<double> expected = cpu.train(steps), actual = cuda.train(steps);
    ASSERT_EQ(expected.size(), actual.size());
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(actual[i], expected[i], loss_bound * std::abs(expected[i])) << "loss " << i;
    for (size_t i = 0; i < cpu.norms_.size(); ++i)
      EXPECT_NEAR(cuda.norms_[i], cpu.norms_[i], 100 * loss_bound * cpu.norms_[i]) << "norm of step " << i;
    cuda.device_->download();
    const auto on_cpu = cpu.state_->everything(), on_gpu = cuda.state_->everything();
    for (size_t t = 0; t < on_cpu.size(); ++t) {
      // A ReLU's input that bf16 moves across 0 changes a small layer's gradient, and its square, by as much as it is.
      if (precision == Precision::bf16 && on_cpu[t].name.find('#') != std::string::npos) continue;
      const int64_t n =
          std::accumulate(on_cpu[t].shape.begin(), on_cpu[t].shape.end(), int64_t{1}, std::multiplies<>());
      EXPECT_LE(distance(static_cast<const float*>(on_gpu[t].data), static_cast<const float*>(on_cpu[t].data), n),
                weight_bound)
          << on_cpu[t].name;
    }
  }

  /// ReLU layers that are fused, alone and side by side, beside others that are not; cross layers; two losses.
  void use_wide_relus() {
    use({.model = "{cross: {type: dcn_v2, from: features, layers: 2}, "
                  "bottom: {type: mlp, from: cross, hidden: [24, 130, 9]}, "
                  "experts: {type: mmoe, from: bottom, experts: 2, hidden: [128, 128, 8]}}",
         .tasks = "{click: {tower: {hidden: [20, 12]}}, buy: {only_when: click == 1, tower: {hidden: [12, 3]}}}"});
  }
  /// Steps that fuse against steps that do not. A library on a GPU may choose other algorithms for them.
  void expect_like_unfused(double bound) {
#ifdef MTRANK_EMULATED
    emulator::Settings library = emulator::settings();
    library.refused = {CUBLASLT_EPILOGUE_BGRADA};  // it adds in an order of its own
    const emulator::WithSettings with(library);
#endif
    for (const bool graph : {true, false}) {
      Run fused(*this, DeviceKind::cuda, {.graph = graph}),
          plain(*this, DeviceKind::cuda, {.graph = graph, .fuse = false});
      const std::vector<double> actual = fused.train(4), expected = plain.train(4);
      ASSERT_EQ(actual.size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR(actual[i], expected[i], bound * std::abs(expected[i])) << "loss " << i;
#ifdef MTRANK_EMULATED
      EXPECT_EQ(actual, expected);
      EXPECT_EQ(fused.hash(), plain.hash());
      EXPECT_THAT(fused.device_->algorithms(), HasSubstr("\"bias_relu_signs\""));
#endif
      EXPECT_THAT(fused.device_->algorithms(), HasSubstr("\"relu_gradient\""));
      EXPECT_THAT(plain.device_->algorithms(), Not(HasSubstr("\"relu_gradient\"")));
    }
  }

  ThreadPool pool_{2};
  std::unique_ptr<TinyModel> model_;
  std::map<std::string, double> ids_per_row_;
};

TEST_F(CudaJob, FollowsTheCpu) { expect_like_cpu(1e-5, 1e-3); }

TEST_F(CudaJob, FollowsTheCpuWithEveryOptimizerOfTables) {
  for (const OptimizerInfo& optimizer : optimizer_registry()) {
    if (!serves(optimizer.use, OptimizerUse::tables)) continue;
    SCOPED_TRACE(optimizer.name);
    for (Table& table : model_->config.tables)
      for (size_t kind = 0; kind < enum_names(SparseKind{}).size(); ++kind)
        if (enum_names(SparseKind{})[kind] == optimizer.name) table.optimizer->type = static_cast<SparseKind>(kind);
    expect_like_cpu(1e-5, 1e-3, 6);
  }
}

/// Each as its registry entry shows it: a new layer is tested with no test edited.
TEST_F(CudaJob, FollowsTheCpuWithEveryLayer) {
  for (const LayerInfo* layer : all_layers()) {
    for (const char* example : layer->examples) {
      const std::string settings(example);
      const std::string rest = settings == "{}" ? "}" : ", " + settings.substr(1);
      SCOPED_TRACE(std::string(layer->name) + " " + example);
      // add and mul want inputs of one width.
      use({.model = "{a: {type: mlp, from: features, hidden: [6]}, b: {type: mlp, from: features, hidden: [6]}, "
                    "x: {type: " +
                    std::string(layer->name) + ", from: [a, b]" + rest + "}",
           .tasks = "{click: {tower: {from: x, hidden: [5]}}, buy: {tower: {from: x}}}"});
      expect_like_cpu(1e-5, 1e-3, 4);
      model_->config.train.precision = Precision::bf16;
      expect_like_cpu(3e-2, kAdamOfSigns, 4);
    }
  }
}

TEST_F(CudaJob, FollowsTheCpuWithEveryLoss) {
  for (const LossInfo& loss : all_losses()) {
    SCOPED_TRACE(loss.name);
    const std::string type = ", loss: " + std::string(loss.name) + "}";
    if (loss.binary)
      use({.tasks = "{click: {weight: 0.5" + type + ", buy: {trained_as: click * buy" + type + "}"});
    else
      use({.labels = "{n: {type: regression}, click: {}}",
           .tasks = "{n: {weight: 0.01" + type + ", click: {}}",
           .outputs = "{p_click: click}"});
    expect_like_cpu(1e-5, 1e-3, 4);
  }
}

TEST_F(CudaJob, ClipsTheNorm) {
  model_->config.train.clip_norm = 0.05;
  expect_like_cpu(1e-5, 1e-3);
}

TEST_F(CudaJob, Bf16FollowsTheCpuLoosely) {
  model_->config.train.precision = Precision::bf16;
  expect_like_cpu(2e-2, kAdamOfSigns);
}

TEST_F(CudaJob, ScoresWhatTheCpuScores) {
  Run cpu(*this, DeviceKind::cpu), cuda(*this, DeviceKind::cuda);
  cpu.train(4);
  cuda.train(4);
  auto source = model_->data->eval(Part::train, kRows);
  Batch batch;
  ASSERT_TRUE(source->next(batch));
  std::vector<std::vector<float>> expected, actual;
  cpu.device_->forward().refresh(pool_);
  cpu.device_->forward().run(pool_, batch, expected);
  cuda.device_->forward().run(pool_, batch, actual);
  ASSERT_EQ(expected.size(), actual.size());
  for (size_t o = 0; o < expected.size(); ++o) {
    ASSERT_EQ(actual[o].size(), static_cast<size_t>(kRows));
    EXPECT_LE(distance(actual[o].data(), expected[o].data(), kRows), 1e-5) << "output " << o;
  }
}

TEST_F(CudaJob, ScoresMoreThanItsWorkingMemoryHolds) {
  constexpr int64_t kOutputs = 260, kEvalBatch = 40000;  // 42 MB
  std::string outputs;
  for (int64_t o = 0; o < kOutputs; ++o) outputs += ", o" + std::to_string(o) + ": " + (o % 2 ? "buy" : "click");
  use({.outputs = "{" + outputs.substr(2) + "}"});
  model_->config.eval.batch_size = kEvalBatch;
  Run run(*this, DeviceKind::cuda);
  auto source = model_->data->eval(Part::train, kRows);
  Batch batch;
  ASSERT_TRUE(source->next(batch));
  std::vector<std::vector<float>> scores;
  run.device_->forward().run(pool_, batch, scores);
  ASSERT_GE(scores.size(), static_cast<size_t>(kOutputs));
  const size_t first = scores.size() - kOutputs;
  EXPECT_NE(scores[first], scores[first + 1]);
  for (size_t o = first + 2; o < scores.size(); ++o) EXPECT_EQ(scores[o], scores[o - 2]);
}

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

TEST_F(CudaJob, StateGoesToTheHostAndBack) {
  Run whole(*this, DeviceKind::cuda), cut(*this, DeviceKind::cuda);
  whole.train(8);
  cut.train(4);
  cut.device_->download();
  cut.device_->initialize(7);
  cut.device_->upload();
  cut.train(4);
  EXPECT_EQ(cut.hash(), whole.hash());
}

TEST_F(CudaJob, ListsThatOutgrowTheirRoomChangeNothing) {
  model_->config.eval.batch_size = kRows;
  Run roomy(*this, DeviceKind::cuda);
  ids_per_row_ = {{"items", 0.01}};
  Run tight(*this, DeviceKind::cuda);
  EXPECT_EQ(roomy.train(8), tight.train(8));
  EXPECT_EQ(roomy.hash(), tight.hash());

  Batch batch;
  ASSERT_TRUE(model_->data->eval(Part::train, kRows)->next(batch));
  std::vector<std::vector<float>> expected, actual;
  roomy.device_->forward().run(pool_, batch, expected);
  tight.device_->forward().run(pool_, batch, actual);
  EXPECT_EQ(actual, expected);
  EXPECT_EQ(roomy.train(4), tight.train(4));
}

#ifdef MTRANK_EMULATED
/// The larger room replaces what the job holds already, which is most of the device.
TEST_F(CudaJob, ListsThatOutgrowTheirRoomOnAFullDevice) {
  const size_t held = emulator::allocated_bytes();
  int64_t planned = 0;
  {
    const Run roomy(*this, DeviceKind::cpu);
    for (const AcceleratorRegion& region :
         plan_accelerator(accelerator_job({roomy.config_, roomy.graphs_, model_->data->schema(), *roomy.state_, pool_,
                                           roomy.shards_, ids_per_row_})))
      planned += region.bytes;
  }
  ids_per_row_ = {{"items", 0.01}};
  emulator::Settings settings = emulator::settings();
  settings.memory = held + static_cast<size_t>(planned) + (size_t{1} << 20);
  const emulator::WithSettings with(settings);
  Run tight(*this, DeviceKind::cuda);
  EXPECT_NO_THROW(tight.train(8));
}

TEST_F(CudaJob, ListsThatOutgrowTheDeviceAreRefusedWithABatchThatFits) {
  const size_t held = emulator::allocated_bytes();
  ids_per_row_ = {{"items", 0.01}};
  model_->config.eval.batch_size = 1;
  emulator::Settings settings = emulator::settings();
  {
    const Run planned(*this, DeviceKind::cpu);
    settings.memory = held;
    for (const AcceleratorRegion& region :
         plan_accelerator(accelerator_job({planned.config_, planned.graphs_, model_->data->schema(), *planned.state_,
                                           pool_, planned.shards_, ids_per_row_})))
      settings.memory += static_cast<size_t>(region.bytes);
  }
  const emulator::WithSettings with(settings);
  Run tight(*this, DeviceKind::cuda);
  try {
    tight.train(8);
    FAIL() << "the longer lists fit";
  } catch (const ResourceError& error) {
    const std::string text = error.what();
    int64_t batch = 0;
    ASSERT_EQ(std::sscanf(text.substr(text.find(" are free. ")).c_str(), " are free. train.batch_size: %ld", &batch), 1)
        << text;
    EXPECT_LT(batch, kBatch);
  }
}
#endif

TEST_F(CudaJob, AStepThatIsNotFiniteChangesNothingNorDoesTheNext) {
  Run run(*this, DeviceKind::cuda);
  run.train(3);
  const uint64_t before = run.hash();
  run.next();
  run.batch_.dense[0][5] = std::numeric_limits<float>::infinity();
  run.device_->submit(run.batch_, 4, 1);
  run.next();
  run.device_->submit(run.batch_, 5, 1);
  try {
    run.device_->collect();
    ADD_FAILURE() << "the step was taken";
  } catch (const NonFiniteError& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("step 4: "), HasSubstr("first seen in"), HasSubstr("Nothing was changed")));
  }
  EXPECT_EQ(run.hash(), before);
}

TEST_F(CudaJob, RepeatsTheBatchesThatAreThere) {
  Run run(*this, DeviceKind::cpu);
  Batch batches[Accelerator::kDepth];
  for (Batch& batch : batches) {
    run.next();
    batch = run.batch_;
  }
  const Plan plan = make_plan(run.graphs_.training, kBatch);
  HostBatches views(run.config_, plan, model_->data->schema());
  /// Losses of three steps on each of the batches in turn.
  const auto losses = [&](bool repeat) {
    const auto device = open_accelerator(accelerator_job(
        {run.config_, run.graphs_, model_->data->schema(), *run.state_, pool_, run.shards_, ids_per_row_}));
    device->initialize();
    std::vector<double> out;
    for (int64_t step = 1; step <= 3 * Accelerator::kDepth; ++step) {
      if (repeat && step > Accelerator::kDepth)
        device->repeat(step, 0.5);
      else
        device->submit(views.of(batches[(step - 1) % Accelerator::kDepth]), step, step > Accelerator::kDepth ? 0.5 : 1);
      if (step % Accelerator::kDepth) continue;
      for (int i = 0; i < Accelerator::kDepth; ++i) {
        const AcceleratorStep done = device->collect();
        EXPECT_TRUE(done.finite);
        EXPECT_GE(done.idle_seconds, 0);
        out.insert(out.end(), done.loss.begin(), done.loss.end());
      }
    }
    return out;
  };
  EXPECT_EQ(losses(true), losses(false));
}

TEST_F(CudaJob, TakesTheMemoryThatItsPlanSays) {
  use_wide_relus();
  Run run(*this, DeviceKind::cpu);
  AcceleratorJob job = accelerator_job(
      {run.config_, run.graphs_, model_->data->schema(), *run.state_, pool_, run.shards_, ids_per_row_});
  const auto total = [](const std::vector<AcceleratorRegion>& regions) {
    int64_t bytes = 0;
    for (const AcceleratorRegion& region : regions) bytes += region.bytes;
    return bytes;
  };
  const int64_t planned = total(plan_accelerator(job));
  EXPECT_GT(planned, 64 << 20) << "working memory alone is that large";
  EXPECT_EQ(total(open_accelerator(job)->memory()), planned);
#ifdef MTRANK_EMULATED
  emulator::Settings without = emulator::settings();
  without.devices = 0;
  const emulator::WithSettings with(without);
  EXPECT_EQ(total(plan_accelerator(job)), planned) << "a plan needs no device";
#endif
}

#ifdef MTRANK_EMULATED
TEST_F(CudaJob, ARefusalSaysWhichBatchWouldFit) {
  Run run(*this, DeviceKind::cpu);
  AcceleratorJob job = accelerator_job(
      {run.config_, run.graphs_, model_->data->schema(), *run.state_, pool_, run.shards_, ids_per_row_});
  emulator::Settings small = emulator::settings();
  small.memory = size_t{2} << 30;
  const emulator::WithSettings with(small);
  const auto bytes = [&](int64_t batch, int64_t eval_batch) {
    job.batch = batch;
    job.eval_batch = eval_batch;
    size_t sum = 0;
    for (const AcceleratorRegion& region : plan_accelerator(job)) sum += static_cast<size_t>(region.bytes);
    return sum;
  };
  const auto advice = [&](int64_t batch, int64_t eval_batch) -> std::string {
    EXPECT_GT(bytes(batch, eval_batch), small.memory);
    try {
      open_accelerator(job);
      return "none";
    } catch (const ResourceError& error) {
      const std::string text = error.what();
      return text.substr(text.find(" are free. ") + 11);
    }
  };
  constexpr int64_t kHuge = 1 << 24;
  int64_t batch = 0, eval_batch = 0;
  ASSERT_EQ(std::sscanf(advice(kHuge, 100).c_str(), "train.batch_size: %ld would fit.", &batch), 1);
  EXPECT_LE(bytes(batch, 100), small.memory);
  EXPECT_GT(bytes(2 * batch, 100), small.memory);
  ASSERT_EQ(std::sscanf(advice(100, kHuge).c_str(), "eval.batch_size: %ld would fit.", &eval_batch), 1);
  EXPECT_LE(bytes(100, eval_batch), small.memory);
  EXPECT_GT(bytes(100, 2 * eval_batch), small.memory);
  ASSERT_EQ(std::sscanf(advice(kHuge, kHuge).c_str(), "train.batch_size: %ld with eval.batch_size: %ld would fit.",
                        &batch, &eval_batch),
            2);
  EXPECT_LE(bytes(batch, eval_batch), small.memory);
  small.memory = size_t{600} << 20;
  const emulator::WithSettings with_less(small);
  EXPECT_THAT(advice(100, 100), ::testing::StartsWith("Not even a batch of one row fits: use fewer rows"));
}
#endif

/// That of `user` in f32; `items` is a mean, and `day` begins at an odd column.
TEST_F(CudaJob, CopiesNoGradientThatLiesWhereItCanBeRead) {
  Run run(*this, DeviceKind::cpu);
  AcceleratorJob job = accelerator_job(
      {run.config_, run.graphs_, model_->data->schema(), *run.state_, pool_, run.shards_, ids_per_row_});
  const auto copied = [&](bool fuse, DType dtype) {
    job.launch.fuse = fuse;
    job.dtype = dtype;
    for (const AcceleratorRegion& region : plan_accelerator(job))
      if (region.what == "gradients of pooled embeddings") return region.bytes;
    return int64_t{0};
  };
  EXPECT_EQ(2 * copied(false, DType::f32), 3 * copied(true, DType::f32));
  EXPECT_EQ(copied(true, DType::bf16), copied(false, DType::bf16)) << "rows of 8 bytes are not read as fast";
}

TEST_F(CudaJob, RefusesShardsThatOneGpuWouldNotCompute) {
  model_->config.train.logical_shards = 4;
  EXPECT_THROW(Run(*this, DeviceKind::cuda), ConfigError);
}

}  // namespace
}  // namespace mtrank
