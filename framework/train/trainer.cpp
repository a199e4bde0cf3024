#include "framework/train/trainer.h"

#include <fmt/format.h>

#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>

#include "framework/core/atomic_file.h"
#include "framework/core/hash.h"
#include "framework/core/host.h"
#include "framework/core/json.h"
#include "framework/data/dataset.h"
#include "framework/data/prefetch.h"
#include "framework/embedding/accelerator.h"
#include "framework/serving/evaluator.h"
#include "framework/serving/export.h"
#include "framework/serving/vocabulary_tensors.h"
#include "framework/train/checkpoint.h"
#include "framework/train/memory_plan.h"
#include "framework/train/run_dir.h"
#include "framework/train/run_log.h"
#include "framework/train/run_state.h"
#include "framework/train/schedule.h"
#include "framework/train/step.h"
#include "framework/train/stop_signal.h"
#include "framework/train/train_device.h"
#include "framework/train/train_setup.h"
#include "framework/train/warm_start.h"
#include "models/model.h"

namespace mtrank {
namespace {

constexpr size_t kGoldenRows = 8;
static_assert(kGoldenRows <= Dataset::kFirstRows);

constexpr size_t kShownDifferences = 10;

/// A run belongs to one config: a resume with another is refused, naming the keys.
void check_same_config(const Config& config, const std::string& before, const std::string& path) {
  Diagnostics diagnostics;
  const Node tree = parse_yaml(before, path, diagnostics);
  diagnostics.throw_if_errors();
  std::vector<std::string> found = differences(tree, resolved_tree(config));
  if (found.empty()) return;
  if (found.size() > kShownDifferences) {
    found[kShownDifferences - 1] = std::to_string(found.size() - (kShownDifferences - 1)) + " keys more";
    found.resize(kShownDifferences);
  }
  throw ConfigError(
      fmt::format("this run was started with another config: {}. Resume it with the config it was started "
                  "with, or choose another --out",
                  fmt::join(found, "; ")));
}

/// Thrown where a signal cuts an evaluation short.
struct Stopped {};

/// Passes batches on until a signal comes.
class StoppableSource : public BatchSource {
 public:
  StoppableSource(std::unique_ptr<BatchSource> source, const StopSignal& stop)
      : source_(std::move(source)), stop_(stop) {}
  const InputSchema& schema() const override { return source_->schema(); }
  int64_t rows() const override { return source_->rows(); }
  void seek(int64_t epoch, int64_t sample) override { source_->seek(epoch, sample); }
  bool next(Batch& batch) override {
    if (stop_.received()) throw Stopped();
    return source_->next(batch);
  }
  std::string key_value(int key, uint64_t hash) const override { return source_->key_value(key, hash); }

 private:
  std::unique_ptr<BatchSource> source_;
  const StopSignal& stop_;
};

/// A device of a run's state, as a line has it: "cpu", "NVIDIA H100 (driver 13.0, cuda 13.0, cublaslt 130100)".
std::string device_text(const std::string& device) {
  const auto json = parse_json<nlohmann::json>(device);
  if (!json.is_object()) return device;
  std::string libraries;
  for (const char* key : {"driver", "cuda", "cublaslt"})
    if (const auto at = json.find(key); at != json.end())
      libraries += (libraries.empty() ? "" : ", ") + std::string(key) + " " +
                   (at->is_string() ? at->get<std::string>() : at->dump());
  return json.value("name", device) + " (" + libraries + ")";
}

/// Predicts what the job takes and refuses one that does not fit.
MemoryPlan checked_memory(const Config& config, const DataSize& data, const Graphs& graphs, int threads,
                          int64_t shards) {
  MemoryPlan plan =
      plan_memory(config, shard_plan(graphs.training, config, shards), make_plan(graphs.scoring, Forward::kBlock),
                  {threads, static_cast<int>(shards), data, wants_accelerator(config)});
  require_memory(plan, memory_budget(config));
  return plan;
}

/// One run, from its first step or from a checkpoint on, to its bundle.
class Trainer {
 public:
  Trainer(const TrainOptions& options, const Config& config, const RunDir& dir, ProgressPrinter& printer,
          StopSignal& stop)
      : options_(options),
        config_(config),
        dir_(dir),
        printer_(printer),
        stop_(stop),
        pool_(config.train.host_threads()),
        spec_(dataset_spec(config)),
        data_(spec_, pool_.threads(), [&](const std::string& line) { printer.message(line); }),
        graphs_(build_graphs(config, table_rows(data_.transforms()))),
        data_size_(data_size(config, data_)),
        checkpoints_(dir.checkpoints(), static_cast<int>(config.train.checkpoint.keep)),
        before_(options.resume ? checkpoints_.latest(warner()) : std::nullopt),
        saved_(before_ ? std::optional(run_state_from_json(before_->state_json(), before_->path())) : std::nullopt),
        shards_(saved_ ? saved_->logical_shards : config.train.shards(wants_accelerator(config))),
        memory_(checked_memory(config, data_size_, graphs_, pool_.threads(), shards_)),
        weights_(config, graphs_.training),
        device_(open_train_device(
            {config, graphs_, data_.schema(), weights_, pool_, shards_, data_size_.ids_per_row, options.launch})),
        evaluator_(config, device_->forward(), pool_) {
    state_.logical_shards = shards_;
    state_.device = device_->name() == "cpu" ? device_->name() : device_->environment();
    state_.config = resolved_yaml(config);
    for (const Part part : {Part::train, Part::valid, Part::test})
      if (data_.has(part)) state_.data_fingerprints[part_name(part)] = hex64(data_.fingerprint(part));
    state_.features = transforms_to_json(data_.transforms());
    for (const NamedValue& loss : graphs_.training.losses) tasks_.push_back(loss.name);
    const int64_t rows = data_.summary(Part::train).rows, batch = config.train.batch_size;
    if (rows == 0) throw DataError("data.train has no rows to train on");
    steps_per_epoch_ = (rows + batch - 1) / batch;
    total_steps_ = config.train.epochs * steps_per_epoch_;
    if (config.train.max_steps) total_steps_ = std::min(total_steps_, *config.train.max_steps);
  }

  ExitCode run() {
    before_ ? resume() : initialize();
    write_file_atomically(dir_.config(), resolved_yaml(config_));  // after all that may refuse to go on
    write_environment();
    if (const int64_t warmup = config_.train.schedule.warmup_steps; warmup > total_steps_)
      printer_.message("warning: the warm-up of " + std::to_string(warmup) + " steps is longer than the run of " +
                       std::to_string(total_steps_) + ": the learning rate never gets to its full size");
    log_ = std::make_unique<RunLog>(dir_, printer_, state_.step);
    try {
      loop();
      finish();
      return ExitCode::ok;
    } catch (const Stopped&) {
      printer_.message("stopped by a signal after step " + std::to_string(state_.step) +
                       "; --resume continues from there");
      return stop_.received() == SIGINT ? ExitCode::interrupted : ExitCode::terminated;
    }
  }

 private:
  void write_environment() const {
    write_file_atomically(dir_.environment(), environment_json(device_->name(), pool_.threads(), device_->environment(),
                                                               device_->algorithms()));
  }

  /// A step under way.
  struct Submitted {
    int64_t number, rows;
    double factor;
    double waited;  ///< seconds, for its batch
    bool queued;    ///< behind a step under way
  };

  void warn(const std::string& text) { printer_.message("warning: " + text); }
  CheckpointStore::Warn warner() {
    return [this](const std::string& text) { warn(text); };
  }

  void initialize() {
    device_->initialize(static_cast<uint64_t>(config_.seed));
    if (config_.train.init_from) {
      device_->download();
      const WarmSource source = open_warm_source(*config_.train.init_from, warner());
      const WarmReport report =
          warm_start(source, data_.transforms(), weight_layouts(graphs_.scoring, data_.transforms()),
                     weights_.weights_of(graphs_.training));
      device_->upload();
      printer_.event(report.text(), report.json());
    }
    truncate_metrics_after(dir_.metrics(), 0);
  }

  void resume() {
    check_same_config(config_, saved_->config, before_->path());
    require_same_data(*saved_, state_);
    if (saved_->device != state_.device)
      warn("this run was trained on " + device_text(saved_->device) + " and goes on on " + device_text(state_.device) +
           ": what follows agrees with what would have been to a tolerance, not bit for bit");
    saved_->device = state_.device;
    load_tensors(before_->tensors(), weights_.everything());
    before_.reset();
    device_->upload();
    state_ = *std::move(saved_);
    saved_step_ = state_.step;
    truncate_metrics_after(dir_.metrics(), state_.step);
    printer_.message("resumed at step " + std::to_string(state_.step));
  }

  /// All steps that are left. Throws Stopped, after a checkpoint, when a signal comes.
  void loop() {
    stop_.defer();
    try {
      if (state_.evaluation_due) settle(false);
      if (!state_.done) steps();
    } catch (const Stopped&) {
      if (saved_step_ != state_.step) save(false);
      throw;
    }
  }

  void steps() {
    std::unique_ptr<BatchSource> stream = data_.train(stream_options(config_, reading_threads()));
    stream->seek(state_.epoch, state_.sample);
    PrefetchSource source(std::move(stream));
    window_.restart(seconds_now(), 0);
    last_checkpoint_ = seconds_now();
    for (Batch batch; !state_.done;) {
      const double waited = source.seconds_waited();
      const bool more = source.next(batch);
      MTRANK_ASSERT(more);
      one_step(batch, source, source.seconds_waited() - waited);
      if (stop_.received()) {
        collect(0);
        throw Stopped();
      }
    }
  }

  int reading_threads() const { return device_->name() == "cpu" ? 1 : pool_.threads(); }  // a CPU's are for the steps

  void one_step(Batch& batch, PrefetchSource& source, double waited) {
    const bool epoch_ends = batch.end_of_epoch;
    const int64_t rows = batch.rows;
    const double factor = schedule_factor(config_.train.schedule, state_.step + 1, total_steps_);
    device_->submit(batch, state_.step + 1, factor);
    ++state_.step;
    submitted_.push_back({state_.step, rows, factor, waited, !submitted_.empty()});
    state_.sample += rows;
    if (epoch_ends) {
      ++state_.epoch;
      state_.sample = 0;
    }
    state_.done = state_.step >= total_steps_;
    state_.evaluation_due = data_.has(Part::valid) && (state_.done || due(config_.eval.every, epoch_ends));
    if (epoch_ends && !state_.done) source.seek(state_.epoch, 0);
    const bool save_due = state_.done || due(config_.train.checkpoint.every, epoch_ends, last_checkpoint_);
    collect(save_due || state_.evaluation_due ? 0 : device_->depth() - 1);
    const double begin = seconds_now();
    settle(save_due);
    window_.take_out(seconds_now() - begin);
  }

  /// Waits until no more than `left` steps are under way.
  void collect(int left) {
    for (; static_cast<int>(submitted_.size()) > left; submitted_.pop_front())
      note(device_->collect(), submitted_.front());
  }

  /// `last`: when it was last done, for intervals of time; only checkpoints have those.
  bool due(const Interval& every, bool epoch_ends, double last = 0) const {
    switch (every.unit) {
      case Interval::Unit::epochs:
        return epoch_ends && state_.epoch % every.count == 0;
      case Interval::Unit::steps:
        return state_.step % every.count == 0;
      case Interval::Unit::seconds:
        return seconds_now() - last >= static_cast<double>(every.count);
    }
    return false;
  }

  /// What follows a step: its evaluation and its checkpoint, where they are due.
  void settle(bool save_due) {
    const bool is_best = state_.evaluation_due && evaluate_valid();
    if (is_best || state_.done || save_due) save(is_best);
  }

  /// Whether it was the best so far. A signal leaves `evaluation_due` as it is: the resumed run begins with it.
  bool evaluate_valid() {
    const EvalRecord record = evaluate(Part::valid, state_.step);
    state_.evaluation_due = false;
    if (!config_.eval.best) return false;
    const MetricDirection direction = parse_metric(config_.eval.best->metric.text()).info->direction;
    const MetricValue value = best_value(*config_.eval.best, record);
    if (!value.value)
      warn(config_.eval.best->text() + " is undefined at step " + std::to_string(state_.step) +
           ", which is therefore not the best");
    const bool is_best = state_.take_evaluation(value.value, direction);
    if (config_.eval.patience && state_.evaluations_since_best >= *config_.eval.patience && !state_.done) {
      state_.done = true;
      printer_.message("no better " + config_.eval.best->text() + " in " +
                       std::to_string(state_.evaluations_since_best) + " evaluations: stopping at step " +
                       std::to_string(state_.step));
    }
    return is_best;
  }

  EvalRecord evaluate(Part part, int64_t step) {
    device_->forward().refresh(pool_);
    auto rows = data_.eval(part, eval_batch_size(config_), reading_threads());
    StoppableSource source(std::make_unique<PrefetchSource>(std::move(rows)), stop_);
    printer_.doing(std::string("evaluating ") + part_name(part), state_.step);
    EvalRecord record = evaluator_.run(source, part_name(part), step, warner());
    printer_.doing("", state_.step);
    log_->evaluation(record);
    return record;
  }

  void save(bool is_best) {
    device_->download();
    log_->sync();
    std::vector<TensorSource> tensors = weights_.everything();
    const auto vocabularies = add_vocabularies(data_.transforms(), tensors);
    checkpoints_.save(state_.step, tensors, to_json(state_), is_best);
    saved_step_ = state_.step;
    last_checkpoint_ = seconds_now();
  }

  /// Adds a step to the running means; now and then they are shown and logged.
  void note(const StepResult& result, const Submitted& step) {
    window_.add(step.rows, result.loss);
    // A step that was queued in time for the device found it idle only because its batch came late; before others the
    // host may have evaluated or saved.
    lost_to_data_ += step.queued ? result.device_idle : std::min(result.device_idle, step.waited);
    const int64_t every = std::clamp<int64_t>(total_steps_ / 200, 1, 100);
    const double now = seconds_now();
    const bool last = state_.done && step.number == state_.step;
    const bool log = step.number % every == 0 || last, show = printer_.due(now) || last;
    if (!log && !show) return;
    TrainProgress progress;
    progress.step = step.number;
    progress.total_steps = total_steps_;
    progress.epoch = static_cast<double>(step.number) / static_cast<double>(steps_per_epoch_);
    progress.learning_rate = config_.train.dense_optimizer.lr * step.factor;
    progress.gradient_norm = result.gradient_norm;
    progress.memory_bytes = resident_bytes();
    window_.describe(tasks_, now, lost_to_data_, progress);
    if (show) printer_.show(progress, now);
    if (!log) return;
    log_->progress(progress);
    window_.restart(now, lost_to_data_);
  }

  /// The best checkpoint, where validation chose one, is tested and exported; otherwise the last.
  void finish() {
    device_->end_steps();
    int64_t step = state_.step;
    if (state_.best) {
      const auto best = checkpoints_.best(warner());
      if (!best || best->step() != state_.best_step)
        throw FileError("the best checkpoint, of step " + std::to_string(state_.best_step) + ", is gone from " +
                        dir_.checkpoints());
      load_tensors(best->tensors(), weights_.everything());
      device_->upload();
      step = best->step();
    }
    if (data_.has(Part::test)) evaluate(Part::test, step);
    log_->sync();
    device_->download();
    write_environment();
    export_bundle();
    printer_.finish();
    printer_.message(fmt::format("peak memory {} MiB, predicted {} MiB",
                                 (peak_resident_bytes() - resident_at_start_) >> 20, memory_.total() >> 20));
    printer_.message("wrote " + dir_.bundle() + " (step " + std::to_string(step) + ")");
  }

  void export_bundle() {
    const Graph graph = forward_only(graphs_.scoring);
    Bundle bundle = make_bundle(
        {config_, graph, data_.transforms(), spec_.read, weights_.weights_of(graph), data_.fingerprint(Part::train)});
    add_golden_rows(bundle, data_.first_rows(kGoldenRows));
    write_bundle(dir_.bundle(), bundle);
  }

  const TrainOptions& options_;
  const Config& config_;
  const RunDir& dir_;
  ProgressPrinter& printer_;
  StopSignal& stop_;
  const int64_t resident_at_start_ = resident_bytes();
  ThreadPool pool_;
  DatasetSpec spec_;
  Dataset data_;
  Graphs graphs_;
  DataSize data_size_;
  CheckpointStore checkpoints_;
  std::optional<Checkpoint> before_;  ///< what is resumed
  std::optional<RunState> saved_;     ///< of it
  const int64_t shards_;
  RunState state_;
  MemoryPlan memory_;  // before anything large is allocated
  ModelState weights_;
  std::unique_ptr<TrainDevice> device_;
  Evaluator evaluator_;
  std::unique_ptr<RunLog> log_;
  std::vector<std::string> tasks_;
  int64_t steps_per_epoch_ = 0, total_steps_ = 0;
  int64_t saved_step_ = -1;  ///< of the newest checkpoint that holds this state
  double last_checkpoint_ = 0;
  StepWindow window_;
  double lost_to_data_ = 0;          ///< seconds that the device was idle for want of a batch
  std::deque<Submitted> submitted_;  ///< not collected yet
};

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

ExitCode train(const TrainOptions& options) {
  const Config config = load_for_training(options.config, options.overrides);
  const RunDir dir(options.out, options.resume);
  StopSignal stop;
  ProgressPrinter printer(stdout, options.log_format, is_terminal(stdout));
  if (options.resume && std::filesystem::exists(dir.config()))
    check_same_config(config, text_of(dir.config()), dir.config());
  if (std::filesystem::exists(dir.bundle())) {
    printer.message("the run in " + dir.path() + " is finished: " + dir.bundle() + " is left as it is");
    return ExitCode::ok;
  }
  // What is refused is said before hours of reading.
  if (std::string why; !wants_accelerator(config) && config.train.device == DeviceKind::automatic &&
                       accelerator_built() && !accelerator_present(&why))
    printer.message("train.device auto takes the CPU: " + why);
  return Trainer(options, config, dir, printer, stop).run();
}

}  // namespace mtrank
