#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mtrank {

/// Where training is: what the bar, a log line and a line of metrics.jsonl are made of.
struct TrainProgress {
  int64_t step = 0;
  int64_t total_steps = 0;  ///< 0: not known yet
  double epoch = 0;         ///< epochs done, with the fraction of the one under way
  double samples_per_s = 0;
  double data_wait = 0;                              ///< share of time spent waiting for data, 0 to 1
  std::vector<std::pair<std::string, double>> loss;  ///< by task
  double learning_rate = 0;
  double gradient_norm = 0;  ///< of the dense gradients
  int64_t memory_bytes = 0;  ///< resident
  std::optional<double> seconds_left;
  std::string doing;  ///< instead of steps, in the bar; empty: steps
};

/// "1h02m", "3m07s", "42s".
std::string format_duration(double seconds);
/// Three digits and a unit: "987", "12.3k", "4.56M".
std::string format_count(double count);
/// "1.2 GB", decimal units.
std::string format_bytes(double bytes);

/// The bar: one line without a newline, at most `width` columns. Where losses and speed do not fit, units and then
/// the tasks' names go; then what matters least is left out.
std::string format_bar(const TrainProgress& p, int width);
/// The same as a plain line with everything in it.
std::string format_line(const TrainProgress& p);
/// {"event":"train","step":…,"epoch":…,"samples_per_s":…,"data_wait":…,"loss":{…},…}; what is not finite is null.
std::string format_json(const TrainProgress& p);

enum class LogFormat { text, json };

/// Shows progress on a stream: a bar that redraws itself on a terminal, a line every few seconds elsewhere, JSON lines
/// on request. Not thread-safe.
class ProgressPrinter {
 public:
  /// `terminal`: whether `out` is one (see `is_terminal`). Does not own `out`.
  ProgressPrinter(std::FILE* out, LogFormat format, bool terminal);
  ~ProgressPrinter();
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  /// Is it time to show progress again? `now` in seconds, of any clock that does not jump. Cheap: ask every step.
  bool due(double now) const { return now >= next_; }
  void show(const TrainProgress& p, double now);
  /// What is done instead of steps, at that step; empty: steps again.
  void doing(const std::string& what, int64_t step);
  /// A line of its own, above the bar: a warning, an evaluation, "resumed at step N".
  void message(const std::string& text);
  /// The same for what JSON readers get as an object of its own: `json` is one line.
  void event(const std::string& text, const std::string& json);
  /// Ends the bar's line. Called by the destructor.
  void finish();

 private:
  void draw();
  void erase_bar();

  std::FILE* out_;
  LogFormat format_;
  bool terminal_;
  double next_ = 0;
  TrainProgress last_;  ///< shown
  std::string bar_;     ///< on the screen now
};

bool is_terminal(std::FILE* stream);
/// Columns of the terminal behind a stream; 80 where that is not known.
int terminal_width(std::FILE* stream);

}  // namespace mtrank
