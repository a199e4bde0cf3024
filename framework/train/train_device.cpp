#include "framework/train/train_device.h"

#include <deque>

#include "framework/core/error.h"
#include "framework/embedding/accelerator.h"
#include "framework/train/accelerated_device.h"

namespace mtrank {
namespace {

/// The CPU: a step is over when it was submitted.
class CpuDevice : public TrainDevice {
 public:
  explicit CpuDevice(const TrainJob& job)
      : job_(job),
        forward_(job.graphs.scoring, job.schema, job.state.params_of(job.graphs.scoring),
                 job.state.tables_of(job.graphs.scoring), job.pool.threads()) {}

  void initialize(uint64_t seed) override { job_.state.initialize(job_.pool, seed); }
  void upload() override {}
  void download() override {}

  void submit(Batch& batch, int64_t step, double lr_factor) override {
    if (!step_)
      step_ = std::make_unique<TrainStep>(job_.config, job_.graphs.training, job_.schema, job_.state, job_.pool,
                                          static_cast<int>(job_.logical_shards));
    results_.push_back(step_->run(batch, step, lr_factor));
  }
  StepResult collect() override {
    StepResult result = std::move(results_.front());
    results_.pop_front();
    return result;
  }
  void end_steps() override { step_.reset(); }
  int depth() const override { return 1; }

  ForwardPass& forward() override { return forward_; }
  std::string name() const override { return "cpu"; }
  std::string environment() const override { return {}; }
  std::string algorithms() const override { return {}; }

 private:
  TrainJob job_;
  Forward forward_;
  std::unique_ptr<TrainStep> step_;  // made by the first step: what only scores needs none
  std::deque<StepResult> results_;
};

}  // namespace

bool wants_accelerator(const Config& config) {
  std::string why;
  bool wanted = config.train.device == DeviceKind::cuda;
  if (wanted && !accelerator_present(&why)) {
    const std::string problem = "train.device is cuda, but " + why;
    if (!accelerator_built()) throw ConfigError(problem);
    throw ResourceError(problem +
                        ". Use --device cpu; `mtrank plan --device cuda` shows what a GPU would need for this");
  }
  if (config.train.device == DeviceKind::automatic) wanted = accelerator_present(&why);
  if (!wanted && config.train.precision != Precision::fp32)
    throw ConfigError(std::string("train.precision is ") + enum_name(config.train.precision) +
                      ", which needs a GPU, and train.device auto found none: " + why +
                      ". Use --set train.precision=fp32");
  return wanted;
}

std::unique_ptr<TrainDevice> open_train_device(const TrainJob& job) {
  if (wants_accelerator(job.config)) return open_accelerated_device(job);
  return std::make_unique<CpuDevice>(job);
}

}  // namespace mtrank
