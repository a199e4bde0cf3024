#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "framework/metrics/eval_record.h"
#include "framework/train/progress.h"

namespace mtrank {

/// {"event":"eval","split":"test","step":N,"tasks":{"is_click":{"auc":…}},"segments":{"tab":{"1":{"is_click":{…}}}},
/// "undefined":{"is_click.auc":"no positive row"}}. An undefined metric is null and its reason stands in "undefined",
/// which is left out when empty. Doubles are written so that they read back the same.
std::string format_json(const EvalRecord& record);

/// metrics.jsonl: one JSON object a line. A line is handed to the system whole, as soon as it is written.
class MetricsLog {
 public:
  /// Appends; creates the file when there is none. Throws ResourceError naming the path.
  explicit MetricsLog(const std::string& path);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  void write(const TrainProgress& progress) { line(format_json(progress)); }
  void write(const EvalRecord& record) { line(format_json(record)); }
  void line(std::string json);
  /// On the disk when it returns: before a checkpoint is taken.
  void sync();

 private:
  std::string path_;
  int fd_ = -1;
};

/// Cuts a log back to what was written up to and including `step`, so that a resumed run continues it: removes all
/// from the first line with a later step on, and a torn last line. An evaluation of `test` goes as well: it ends a run,
/// and a run that is resumed evaluates once more. A file that does not exist is fine.
void truncate_metrics_after(const std::string& path, int64_t step);

}  // namespace mtrank
