#include "framework/train/run_log.h"

#include <algorithm>
#include <chrono>

#include "framework/train/train_setup.h"

namespace mtrank {
namespace {

double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void StepWindow::restart(double now, double waited) {
  *this = {};
  start_ = now;
  waited_ = waited;
}

void StepWindow::add(int64_t rows, const std::vector<double>& loss) {
  rows_ += rows;
  ++steps_;
  loss_.resize(loss.size());
  for (size_t t = 0; t < loss.size(); ++t) loss_[t] += loss[t];
}

void StepWindow::describe(const std::vector<std::string>& tasks, double now, double waited, TrainProgress& p) const {
  const double seconds = std::max(now - start_, 1e-9);
  p.samples_per_s = static_cast<double>(rows_) / seconds;
  p.data_wait = std::clamp((waited - waited_) / seconds, 0.0, 1.0);
  if (steps_ == 0) return;
  for (size_t t = 0; t < loss_.size(); ++t) p.loss.emplace_back(tasks[t], loss_[t] / static_cast<double>(steps_));
  p.seconds_left = seconds / static_cast<double>(steps_) * static_cast<double>(p.total_steps - p.step);
}

RunLog::RunLog(const RunDir& dir, ProgressPrinter& printer, int64_t steps)
    : printer_(printer), metrics_(dir.metrics()), events_(EventWriter::path_in(dir.path(), unix_time()), unix_time()) {
  if (steps > 0) events_.start_at(steps + 1, unix_time());
}

void RunLog::progress(const TrainProgress& progress) {
  metrics_.write(progress);
  std::vector<EventWriter::Scalar> scalars{{"train/learning_rate", progress.learning_rate},
                                           {"train/gradient_norm", progress.gradient_norm},
                                           {"train/samples_per_s", progress.samples_per_s}};
  for (const auto& [task, loss] : progress.loss) scalars.emplace_back("train/" + task + "/loss", loss);
  events_.scalars(progress.step, unix_time(), scalars);
}

void RunLog::evaluation(const EvalRecord& record) {
  metrics_.write(record);
  std::vector<EventWriter::Scalar> scalars;
  for (const TaskMetrics& task : record.tasks)
    for (const auto& [metric, value] : task.metrics)
      if (value.value) scalars.emplace_back(record.split + "/" + task.task + "/" + metric, *value.value);
  events_.scalars(record.step, unix_time(), scalars);
  printer_.event(format_table(record), format_json(record));
}

}  // namespace mtrank
