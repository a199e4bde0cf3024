#include "framework/train/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "framework/core/standard_output.h"

namespace mtrank {
namespace {

constexpr double kBarSeconds = 0.2, kLineSeconds = 5;

}  // namespace

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

int terminal_width(std::FILE* stream) {
  winsize size{};
  return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

ProgressPrinter::ProgressPrinter(std::FILE* out, LogFormat format, bool terminal)
    : out_(out), format_(format), terminal_(terminal && format == LogFormat::text) {}

ProgressPrinter::~ProgressPrinter() { finish(); }

void ProgressPrinter::show(const TrainProgress& p, double now) {
  next_ = now + (terminal_ ? kBarSeconds : kLineSeconds);
  if (!terminal_) {
    std::fprintf(out_, "%s\n", (format_ == LogFormat::json ? format_json(p) : format_line(p)).c_str());
  } else {
    last_ = p;
    draw();
  }
  flush_output(out_);
}

void ProgressPrinter::doing(const std::string& what, int64_t step) {
  if (bar_.empty()) return;
  last_.doing = what;
  last_.step = step;
  draw();
  flush_output(out_);
}

void ProgressPrinter::draw() {
  erase_bar();
  bar_ = format_bar(last_, terminal_width(out_) - 1);  // the last column would wrap on some terminals
  std::fputs(bar_.c_str(), out_);
}

void ProgressPrinter::message(const std::string& text) {
  const nlohmann::ordered_json json{{"event", "message"}, {"text", text}};
  event(text, json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void ProgressPrinter::event(const std::string& text, const std::string& json) {
  const std::string bar = bar_;
  erase_bar();
  std::fprintf(out_, "%s\n", (format_ == LogFormat::json ? json : text).c_str());
  bar_ = bar;
  std::fputs(bar_.c_str(), out_);
  flush_output(out_);
}

void ProgressPrinter::finish() {
  if (!bar_.empty()) std::fputc('\n', out_);
  bar_.clear();
  flush_output(out_);
}

void ProgressPrinter::erase_bar() {
  if (!bar_.empty()) std::fputs("\r\033[K", out_);
  bar_.clear();
}

}  // namespace mtrank
