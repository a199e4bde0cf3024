#include "framework/train/metrics_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "framework/core/error.h"
#include "framework/core/fs.h"

namespace mtrank {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw ResourceError(what + " " + path + ": " + disk::reason_text(errno));
}

Json tasks_json(const std::vector<TaskMetrics>& tasks, const std::string& prefix, Json& undefined) {
  Json out = Json::object();
  for (const TaskMetrics& task : tasks) {
    Json& values = out[task.task] = Json::object();
    for (const auto& [name, metric] : task.metrics) {
      values[name] = metric.value ? Json(*metric.value) : Json();
      if (!metric.value) undefined[prefix + task.task + "." + name] = metric.reason;
    }
  }
  return out;
}

struct Line {
  std::optional<int64_t> step;  ///< nothing when it is no object with one
  bool is_test = false;
};

Line read_line(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return {};
  const auto step = json.find("step"), split = json.find("split");
  Line line;
  if (step != json.end() && step->is_number_integer()) line.step = step->get<int64_t>();
  line.is_test = split != json.end() && *split == "test";
  return line;
}

/// How much of the log to keep. A line that cannot be read is dropped at the end of the file and kept elsewhere.
int64_t kept_bytes(std::istream& in, int64_t last_step) {
  int64_t offset = 0, keep = 0;
  for (std::string line; std::getline(in, line);) {
    const bool torn = in.eof();  // no newline
    offset += static_cast<int64_t>(line.size()) + (torn ? 0 : 1);
    const Line read = read_line(line);
    if (torn || read.is_test || (read.step && *read.step > last_step)) return keep;
    if (read.step || in.peek() != EOF) keep = offset;
  }
  return keep;
}

}  // namespace

std::string format_json(const EvalRecord& record) {
  Json undefined = Json::object();
  Json line{{"event", "eval"}, {"split", record.split}, {"step", record.step}};
  line["tasks"] = tasks_json(record.tasks, "", undefined);
  line["segments"] = Json::object();
  for (const SegmentMetrics& s : record.segments)
    line["segments"][s.column][s.value] = tasks_json(s.tasks, s.column + "=" + s.value + ".", undefined);
  if (!undefined.empty()) line["undefined"] = undefined;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

MetricsLog::MetricsLog(const std::string& path)
    : path_(path), fd_(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)) {
  if (fd_ < 0) fail("cannot write", path_);
}

MetricsLog::~MetricsLog() { ::close(fd_); }

void MetricsLog::line(std::string json) {
  json += '\n';
  for (size_t done = 0; done < json.size();) {
    const ssize_t n = ::write(fd_, json.data() + done, json.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot write", path_);
    done += static_cast<size_t>(n);
  }
}

void MetricsLog::sync() {
  if (::fsync(fd_) != 0) fail("cannot write", path_);
}

void truncate_metrics_after(const std::string& path, int64_t step) {
  if (!disk::is_file(path)) return;
  std::ifstream in(path, std::ios::binary);
  if (!in) fail("cannot read", path);
  const int64_t keep = kept_bytes(in, step);
  if (::truncate(path.c_str(), keep) != 0) fail("cannot cut back", path);
}

}  // namespace mtrank
