#include "framework/train/trainer.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>

#include "framework/core/atomic_file.h"
#include "framework/core/hash.h"
#include "framework/core/host.h"
#include "framework/data/dataset.h"
#include "framework/data/prefetch.h"
#include "framework/serving/evaluator.h"
#include "framework/serving/export.h"
#include "framework/train/checkpoint.h"
#include "framework/train/event_writer.h"
#include "framework/train/metrics_log.h"
#include "framework/train/run_dir.h"
#include "framework/train/run_state.h"
#include "framework/train/schedule.h"
#include "framework/train/step.h"
#include "framework/train/stop_signal.h"
#include "framework/train/train_setup.h"
#include "models/model.h"

namespace mtrank {
namespace {

constexpr size_t kGoldenRows = 8;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// One run, from its first step or from a checkpoint on, to its bundle.
class Trainer {
 public:
  Trainer(const TrainOptions& options, const Config& config, const RunDir& dir, ProgressPrinter& printer)
      : options_(options),
        config_(config),
        dir_(dir),
        printer_(printer),
        threads_(static_cast<int>(config.train.threads.value_or(host_cores()))),
        pool_(threads_),
        spec_(dataset_spec(config)),
        data_(spec_, threads_, [&](const std::string& line) { printer.message(line); }),
        graphs_(build_graphs(config, table_rows(data_.transforms()))),
        weights_(config, graphs_.training),
        forward_(graphs_.scoring, data_.schema(), weights_.params_of(graphs_.scoring),
                 weights_.tables_of(graphs_.scoring), threads_),
        evaluator_(config, forward_, pool_),
        checkpoints_(dir.checkpoints(), static_cast<int>(config.train.checkpoint.keep)) {
    state_.logical_shards = config.train.logical_shards.value_or(8);
    state_.config = resolved_yaml(config);
    state_.data_fingerprint = hex64(data_.fingerprint());
  }

  ExitCode run() {
    start();
    step_ = std::make_unique<TrainStep>(config_, graphs_.training, data_.schema(), weights_, pool_,
                                        static_cast<int>(state_.logical_shards));
    log_ = std::make_unique<MetricsLog>(dir_.metrics());
    events_ = std::make_unique<EventWriter>(EventWriter::path_in(dir_.path(), unix_time()), unix_time());
    if (state_.step > 0) events_->start_at(state_.step + 1, unix_time());
    if (!state_.done)
      if (const int signal = loop()) return signal == SIGINT ? ExitCode::interrupted : ExitCode::terminated;
    finish();
    return ExitCode::ok;
  }

 private:
  int64_t steps_per_epoch() const {
    const int64_t rows = data_.summary(Part::train).rows;
    return (rows + config_.train.batch_size - 1) / config_.train.batch_size;
  }

  void start() {
    if (data_.summary(Part::train).rows == 0) throw DataError("data.train has no rows to train on");
    total_steps_ = config_.train.epochs * steps_per_epoch();
    if (config_.train.max_steps) total_steps_ = std::min(total_steps_, *config_.train.max_steps);
    auto warn = [&](const std::string& text) { printer_.message("warning: " + text); };
    std::optional<Checkpoint> checkpoint;
    if (options_.resume) checkpoint = checkpoints_.latest(warn);
    if (!checkpoint) {
      weights_.initialize(pool_, static_cast<uint64_t>(config_.seed));
      truncate_metrics_after(dir_.metrics(), 0);
      return;
    }
    resume(*checkpoint);
  }

  void resume(const Checkpoint& checkpoint) {
    RunState saved = run_state_from_json(checkpoint.state_json(), checkpoint.path());
    if (saved.data_fingerprint != state_.data_fingerprint)
      throw DataError("the training data is not what this run was started on (fingerprint " + state_.data_fingerprint +
                      ", the checkpoint has " + saved.data_fingerprint +
                      "). Start a new run, with train.init_from for its weights");
    load_tensors(checkpoint.tensors(), weights_.everything());
    state_ = std::move(saved);
    truncate_metrics_after(dir_.metrics(), state_.step);
    printer_.message("resumed at step " + std::to_string(state_.step));
  }

  /// The signal that ended it, or 0 when all steps are done.
  int loop() {
    StopSignal stop;
    PrefetchSource source(data_.train(stream_options()), 3);
    source.seek(state_.epoch, state_.sample);
    window_start_ = last_checkpoint_ = seconds_now();
    Batch batch;
    while (!state_.done) {
      if (!source.next(batch)) {
        next_epoch(source);
        continue;
      }
      one_step(batch, source);
      if (stop.received()) {
        save(false);
        printer_.message("stopped by a signal after step " + std::to_string(state_.step) +
                         "; --resume continues from there");
        return stop.received();
      }
    }
    return 0;
  }

  StreamOptions stream_options() const {
    return {.batch_size = config_.train.batch_size,
            .shuffle = config_.train.shuffle.mode != ShuffleMode::none,
            .seed = static_cast<uint64_t>(config_.seed),
            .memory = static_cast<uint64_t>(config_.train.shuffle.memory.bytes)};
  }

  void next_epoch(BatchSource& source) {
    ++state_.epoch;
    state_.sample = 0;
    source.seek(state_.epoch, 0);
  }

  void one_step(const Batch& batch, PrefetchSource& source) {
    const double factor = schedule_factor(config_.train.schedule, state_.step + 1, total_steps_);
    const StepResult result = step_->run(batch, state_.step + 1, factor);
    ++state_.step;
    state_.sample += batch.rows;
    const bool epoch_ends = batch.end_of_epoch;
    if (epoch_ends) next_epoch(source);
    state_.done = state_.step >= total_steps_;
    note(result, batch.rows, factor, source);
    bool is_best = false;
    if (due(config_.eval.every, epoch_ends, 0) || state_.done) is_best = evaluate_valid();
    if (is_best || state_.done || due(config_.train.checkpoint.every, epoch_ends, last_checkpoint_)) save(is_best);
  }

  bool due(const Interval& every, bool epoch_ends, double last) const {
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

  /// Whether it was the best so far.
  bool evaluate_valid() {
    if (!data_.has(Part::valid)) return false;
    const EvalRecord record = evaluate(Part::valid, state_.step);
    if (!config_.eval.best) return false;
    const MetricValue value = best_value(*config_.eval.best, record);
    const MetricDirection direction = parse_metric(config_.eval.best->metric.text()).info->direction;
    if (value.value && (!state_.best || is_better(direction, *value.value, *state_.best))) {
      state_.best = value.value;
      state_.best_step = state_.step;
      state_.evaluations_since_best = 0;
      return true;
    }
    ++state_.evaluations_since_best;
    if (config_.eval.patience && state_.evaluations_since_best >= *config_.eval.patience && !state_.done) {
      state_.done = true;
      printer_.message("no better " + config_.eval.best->text() + " in " +
                       std::to_string(state_.evaluations_since_best) + " evaluations: stopping at step " +
                       std::to_string(state_.step));
    }
    return false;
  }

  EvalRecord evaluate(Part part, int64_t step) {
    forward_.refresh(pool_);
    const auto source = data_.eval(part, config_.eval.batch_size.value_or(8192));
    const EvalRecord record = evaluator_.run(*source, part_name(part), step,
                                             [&](const std::string& text) { printer_.message("warning: " + text); });
    log_->write(record);
    std::vector<EventWriter::Scalar> scalars;
    for (const TaskMetrics& task : record.tasks) {
      for (const auto& [metric, value] : task.metrics)
        if (value.value) scalars.emplace_back(record.split + "/" + task.task + "/" + metric, *value.value);
    }
    events_->scalars(step, unix_time(), scalars);
    printer_.message(format_table(record));
    return record;
  }

  void save(bool is_best) {
    log_->sync();
    checkpoints_.save(state_.step, weights_.everything(), to_json(state_), is_best);
    last_checkpoint_ = seconds_now();
  }

  /// Adds a step to the running means; now and then they are shown and logged.
  void note(const StepResult& result, int64_t rows, double factor, const PrefetchSource& source) {
    window_rows_ += rows;
    ++window_steps_;
    window_loss_.resize(result.loss.size());
    for (size_t t = 0; t < result.loss.size(); ++t) window_loss_[t] += result.loss[t];
    const int64_t every = std::clamp<int64_t>(total_steps_ / 200, 1, 100);
    const double now = seconds_now();
    const bool log = state_.step % every == 0 || state_.done, show = printer_.due(now);
    if (!log && !show) return;
    const TrainProgress progress = describe(result, factor, source, now);
    if (show) printer_.show(progress, now);
    if (!log) return;
    log_->write(progress);
    std::vector<EventWriter::Scalar> scalars{{"train/learning_rate", progress.learning_rate},
                                             {"train/gradient_norm", progress.gradient_norm},
                                             {"train/samples_per_s", progress.samples_per_s}};
    for (const auto& [task, loss] : progress.loss) scalars.emplace_back("train/" + task + "/loss", loss);
    events_->scalars(state_.step, unix_time(), scalars);
    window_start_ = now;
    window_wait_ = source.seconds_waited();
    window_rows_ = window_steps_ = 0;
    window_loss_.clear();
  }

  TrainProgress describe(const StepResult& result, double factor, const PrefetchSource& source, double now) const {
    TrainProgress p;
    p.step = state_.step;
    p.total_steps = total_steps_;
    p.epoch = static_cast<double>(state_.step) / static_cast<double>(steps_per_epoch());
    const double seconds = std::max(now - window_start_, 1e-9);
    p.samples_per_s = static_cast<double>(window_rows_) / seconds;
    p.data_wait = std::min(1.0, (source.seconds_waited() - window_wait_) / seconds);
    for (size_t t = 0; t < window_loss_.size(); ++t)
      p.loss.emplace_back(graphs_.training.losses[t].name, window_loss_[t] / static_cast<double>(window_steps_));
    p.learning_rate = config_.train.dense_optimizer.lr * factor;
    p.gradient_norm = result.gradient_norm;
    p.memory_bytes = resident_bytes();
    p.seconds_left = seconds / static_cast<double>(window_steps_) * static_cast<double>(total_steps_ - state_.step);
    return p;
  }

  /// The best checkpoint, where validation chose one, is tested and exported; otherwise the last.
  void finish() {
    int64_t step = state_.step;
    if (state_.best) {
      const auto best = checkpoints_.best([&](const std::string& text) { printer_.message("warning: " + text); });
      if (!best) throw FileError("the best checkpoint, of step " + std::to_string(state_.best_step) + ", is gone");
      load_tensors(best->tensors(), weights_.everything());
      step = best->step();
    }
    if (data_.has(Part::test)) evaluate(Part::test, step);
    log_->sync();
    export_bundle();
    printer_.finish();
    printer_.message("wrote " + dir_.bundle() + " (step " + std::to_string(step) + ")");
  }

  void export_bundle() {
    const Graph graph = forward_only(graphs_.scoring);
    Bundle bundle =
        make_bundle({config_, graph, data_.transforms(), spec_.read, weights_.weights_of(graph), data_.fingerprint()});
    const auto& files = spec_.parts[static_cast<size_t>(Part::train)].files;
    add_golden_rows(bundle, first_rows(files, spec_.read, data_.transforms(), kGoldenRows));
    write_bundle(dir_.bundle(), bundle);
  }

  const TrainOptions& options_;
  const Config& config_;
  const RunDir& dir_;
  ProgressPrinter& printer_;
  const int threads_;
  ThreadPool pool_;
  DatasetSpec spec_;
  Dataset data_;
  Graphs graphs_;
  ModelState weights_;
  Forward forward_;
  Evaluator evaluator_;
  CheckpointStore checkpoints_;
  std::unique_ptr<TrainStep> step_;
  std::unique_ptr<MetricsLog> log_;
  std::unique_ptr<EventWriter> events_;
  RunState state_;
  int64_t total_steps_ = 0;

  double window_start_ = 0, window_wait_ = 0, last_checkpoint_ = 0;
  int64_t window_rows_ = 0, window_steps_ = 0;
  std::vector<double> window_loss_;
};

/// A run directory belongs to one config: a resume with another is refused, naming the key.
void check_same_config(const Config& config, const RunDir& dir) {
  if (!std::filesystem::exists(dir.config())) return;
  Diagnostics diagnostics;
  std::ifstream file(dir.config());
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const Node before = parse_yaml(text, dir.config(), diagnostics);
  diagnostics.throw_if_errors();
  if (const std::string difference = first_difference(before, resolved_tree(config)); !difference.empty())
    throw ConfigError("this run was started with another config: " + difference +
                      ". Resume it with the config it was started with, or choose another --out");
}

}  // namespace

ExitCode train(const TrainOptions& options) {
  const Config config = load_for_training(options.config, options.overrides);
  const RunDir dir(options.out, options.resume);
  ProgressPrinter printer(stdout, options.log_format, is_terminal(stdout));
  if (options.resume) check_same_config(config, dir);
  if (std::filesystem::exists(dir.bundle())) {
    printer.message("the run in " + dir.path() + " is finished: " + dir.bundle() + " is left as it is");
    return ExitCode::ok;
  }
  write_file_atomically(dir.config(), resolved_yaml(config));
  write_file_atomically(dir.environment(),
                        environment_json("cpu", static_cast<int>(config.train.threads.value_or(host_cores()))));
  return Trainer(options, config, dir, printer).run();
}

}  // namespace mtrank
