#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "framework/metrics/eval_record.h"
#include "framework/train/event_writer.h"
#include "framework/train/metrics_log.h"
#include "framework/train/progress.h"
#include "framework/train/run_dir.h"

namespace mtrank {

/// Of any clock that does not jump.
double seconds_now();

/// Steps since the last line of the log: their mean losses and their speed. Time that is not training (evaluations,
/// checkpoints) is taken out.
class StepWindow {
 public:
  /// `waited`: seconds spent waiting for data so far, as PrefetchSource counts them.
  void restart(double now, double waited);
  void add(int64_t rows, const std::vector<double>& loss);
  void take_out(double seconds) { start_ += seconds; }
  int64_t steps() const { return steps_; }
  /// Fills in losses, samples_per_s, data_wait and, from `total_steps`, seconds_left.
  void describe(const std::vector<std::string>& tasks, double now, double waited, TrainProgress& progress) const;

 private:
  double start_ = 0, waited_ = 0;
  int64_t rows_ = 0, steps_ = 0;
  std::vector<double> loss_;
};

/// What a run tells: to the user, to metrics.jsonl, and to TensorBoard.
class RunLog {
 public:
  /// Continues the log of a run that has done `steps` steps.
  RunLog(const RunDir& dir, ProgressPrinter& printer, int64_t steps);

  /// A line of the log; what the user sees of progress is up to the printer alone.
  void progress(const TrainProgress& progress);
  void evaluation(const EvalRecord& record);
  void warning(const std::string& text) { printer_.message("warning: " + text); }
  /// On the disk when it returns.
  void sync() { metrics_.sync(); }

 private:
  ProgressPrinter& printer_;
  MetricsLog metrics_;
  EventWriter events_;
};

}  // namespace mtrank
