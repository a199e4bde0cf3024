#include "framework/train/accelerated_device.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

#include "framework/core/error.h"
#include "framework/data/binder.h"
#include "framework/train/task_inputs.h"

namespace mtrank {
namespace {

constexpr double kListRoom = 1.1;  // lists of a batch are seldom longer than the average by more

DType dtype_of(const Config& config) { return config.train.precision == Precision::bf16 ? DType::bf16 : DType::f32; }

/// Scores on the device. Its weights are those that train, so there is nothing to refresh.
class AcceleratedForward : public ForwardPass {
 public:
  AcceleratedForward(const Graph& graph, const InputSchema& schema, Accelerator& device, int64_t batch)
      : plan_(make_plan(graph, batch)), binder_(plan_, schema), device_(device) {}

  void refresh(ThreadPool&) override {}
  const Graph& graph() const override { return plan_.graph; }

  void run(ThreadPool&, const Batch& batch, std::vector<std::vector<float>>& scores) override {
    scores.resize(plan_.graph.outputs.size());
    for (std::vector<float>& column : scores) column.resize(static_cast<size_t>(batch.rows));
    for (int64_t first = 0; first < batch.rows; first += plan_.capacity) {
      binder_.bind(batch, first, inputs_, ids_);
      to_.clear();
      for (std::vector<float>& column : scores) to_.push_back(column.data() + first);
      const int64_t rows = std::min(plan_.capacity, batch.rows - first);
      device_.score({rows, static_cast<uint64_t>(batch.first_sample + first), inputs_, ids_, {}}, to_);
    }
  }

 private:
  Plan plan_;
  BatchBinder binder_;
  Accelerator& device_;
  std::vector<View> inputs_;
  std::vector<IdsView> ids_;
  std::vector<float*> to_;
};

class AcceleratedDevice : public TrainDevice {
 public:
  explicit AcceleratedDevice(const TrainJob& job)
      : job_(job),
        plan_(make_plan(job.graphs.training, job.config.train.batch_size)),
        batches_(job.config, plan_, job.schema),
        device_(open_accelerator(accelerator_job(job))),
        forward_(job.graphs.scoring, job.schema, *device_, eval_batch_size(job.config)) {}

  void initialize(uint64_t) override { device_->initialize(); }
  void upload() override { device_->upload(); }
  void download() override { device_->download(); }

  void submit(Batch& batch, int64_t step, double lr_factor) override {
    device_->submit(batches_.of(batch), step, lr_factor);
    Submitted& kept = *submitted_.insert(submitted_.end(), Submitted{std::move(spare_), step, lr_factor});
    std::swap(kept.batch, batch);
  }

  StepResult collect() override {
    const AcceleratorStep done = device_->collect();
    Submitted submitted = std::move(submitted_.front());
    submitted_.pop_front();
    if (!done.finite) explain(submitted, done);
    spare_ = std::move(submitted.batch);
    StepResult result;
    result.gradient_norm = std::sqrt(done.norm_squared);
    result.device_idle = done.idle_seconds;
    for (size_t t = 0; t < done.loss.size(); ++t)
      result.loss.push_back(batches_.tasks().task(t).weight > 0 ? done.loss[t] / batches_.tasks().task(t).weight : 0);
    return result;
  }

  int depth() const override { return Accelerator::kDepth; }
  ForwardPass& forward() override { return forward_; }
  std::string name() const override { return "cuda"; }
  std::string environment() const override { return device_->environment(); }
  std::string algorithms() const override { return device_->algorithms(); }

 private:
  struct Submitted {
    Batch batch;
    int64_t step;
    double lr_factor;
  };

  /// Nothing was changed on the device. The CPU takes the same step and says what it finds.
  [[noreturn]] void explain(const Submitted& at, const AcceleratorStep& done) {
    device_->download();
    TrainStep step(job_.config, job_.graphs.training, job_.schema, job_.state, job_.pool, 8);
    step.run(at.batch, at.step, at.lr_factor);
    std::string losses;
    for (size_t t = 0; t < done.loss.size(); ++t)
      if (!std::isfinite(done.loss[t]))
        losses += "the loss of task `" + batches_.tasks().task(t).name + "` is not finite; ";
    throw NonFiniteError("step " + std::to_string(at.step) + ": " + losses +
                         "a gradient is not finite on the GPU, and the same step on the CPU, in fp32, is. Nothing was "
                         "changed by this step. Try train.precision fp32, a smaller learning rate or train.clip_norm");
  }

  TrainJob job_;
  Plan plan_;
  HostBatches batches_;
  std::unique_ptr<Accelerator> device_;
  AcceleratedForward forward_;
  std::deque<Submitted> submitted_;
  Batch spare_;
};

}  // namespace

HostBatches::HostBatches(const Config& config, const Plan& plan, const InputSchema& schema)
    : binder_(plan, schema), tasks_(config, plan, schema) {}

HostBatch HostBatches::of(const Batch& batch) {
  tasks_.prepare(batch);
  binder_.bind(batch, 0, inputs_, ids_);
  tasks_.bind(0, inputs_);
  return {batch.rows, static_cast<uint64_t>(batch.first_sample), inputs_, ids_, tasks_.scalars()};
}

AcceleratorJob accelerator_job(const TrainJob& job) {
  AcceleratorJob out;
  out.training = job.graphs.training;
  out.scoring = job.graphs.scoring;
  out.model.layout = &job.state.layout();
  out.model.weights = job.state.weights();
  out.model.slots = job.state.dense().slots();
  for (const auto& table : job.state.tables()) out.model.tables.push_back(table.get());
  out.dense_optimizer = &job.state.dense().settings();
  out.dtype = dtype_of(job.config);
  out.tf32 = job.config.train.precision == Precision::tf32;
  out.batch = job.config.train.batch_size;
  out.shards = static_cast<int>(job.logical_shards);
  out.eval_batch = eval_batch_size(job.config);
  for (const FeatureInfo& feature : job.schema.features) {
    if (feature.kind == FeatureKind::dense) continue;
    const auto known = job.ids_per_row.find(feature.name);
    const double mean = known == job.ids_per_row.end() ? 1 : known->second;
    // A list whose every row is full needs no more than that.
    const double room = mean == feature.max_len ? mean : mean * kListRoom;
    out.ids.push_back({"ids:" + feature.name, feature.kind == FeatureKind::ids, feature.weighted, room});
  }
  out.clip_norm = job.config.train.clip_norm;
  out.seed = static_cast<uint64_t>(job.config.seed);
  out.pool = &job.pool;
  out.launch = job.launch;
  return out;
}

std::unique_ptr<TrainDevice> open_accelerated_device(const TrainJob& job) {
  return std::make_unique<AcceleratedDevice>(job);
}

}  // namespace mtrank
