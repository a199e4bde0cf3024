#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "framework/train/progress.h"

namespace mtrank {
namespace {

/// Three significant digits below 1000.
std::string three_digits(double v) {
  const double size = std::abs(v);
  return fmt::format("{:.{}f}", v, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

double fraction_done(const TrainProgress& p) {
  if (p.total_steps <= 0) return 0;
  return std::clamp(static_cast<double>(p.step) / static_cast<double>(p.total_steps), 0.0, 1.0);
}

std::string step_text(const TrainProgress& p) {
  return (p.total_steps > 0 ? fmt::format("step {}/{}", p.step, p.total_steps) : fmt::format("step {}", p.step)) +
         (p.doing.empty() ? "" : ", " + p.doing);
}

std::string epoch_text(const TrainProgress& p) {
  const double whole = std::max(0.0, std::ceil(p.epoch) - 1);  // an epoch's last step is its 100 %
  return fmt::format("epoch {:.0f} {:.0f}%", whole + 1, std::floor(100 * (p.epoch - whole)));
}

/// How much is said: everything; short units; losses without the tasks' names.
enum class Words { all, few, fewest };

std::string loss_text(const TrainProgress& p, Words words) {
  std::string out = "loss";
  for (const auto& [task, loss] : p.loss)
    out += words == Words::fewest ? fmt::format(" {:.3f}", loss) : fmt::format(" {} {:.4f}", task, loss);
  return p.loss.empty() ? "" : out;
}

constexpr size_t kCore = 4;  // parts that words are saved for

/// The parts of a line, most important first.
std::vector<std::string> parts(const TrainProgress& p, Words words = Words::all) {
  std::vector<std::string> out{step_text(p), epoch_text(p), loss_text(p, words),
                               format_count(p.samples_per_s) + (words == Words::all ? " samples/s" : "/s")};
  if (p.seconds_left) out.push_back(format_duration(*p.seconds_left) + " left");
  out.push_back(fmt::format("data {:.0f}%", 100 * p.data_wait));
  out.push_back(fmt::format("lr {:.3g}", p.learning_rate));
  out.push_back(fmt::format("grad {:.3g}", p.gradient_norm));
  out.push_back(format_bytes(static_cast<double>(p.memory_bytes)));
  std::erase(out, "");
  return out;
}

/// Columns on a terminal: task names may hold any UTF-8, a continuation byte takes no column.
int columns(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string cut(const std::string& text, int width) {
  size_t end = 0;
  for (int used = 0; end < text.size(); ++end)
    if ((text[end] & 0xC0) != 0x80 && used++ == width) break;
  return text.substr(0, end);
}

/// As many words as leave room for what matters most.
Words words_for(const TrainProgress& p, int width) {
  for (const Words words : {Words::all, Words::few}) {
    const std::vector<std::string> all = parts(p, words);
    int used = -2;
    for (size_t i = 0; i < std::min(kCore, all.size()); ++i) used += columns(all[i]) + 2;
    if (used <= width) return words;
  }
  return Words::fewest;
}

std::string gauge(double done, int width) {
  const int full = static_cast<int>(done * width);
  return "[" + std::string(full, '#') + std::string(width - full, '.') + "]";
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  const int64_t s = std::llround(std::clamp(seconds, 0.0, 1e9));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
}

std::string format_count(double count) {
  if (std::abs(count) < 999.5) return fmt::format("{:.0f}", count);
  if (std::abs(count) < 999.5e3) return three_digits(count / 1e3) + "k";
  if (std::abs(count) < 999.5e6) return three_digits(count / 1e6) + "M";
  return three_digits(count / 1e9) + "G";
}

std::string format_bytes(double bytes) {
  if (bytes < 999.5e3) return fmt::format("{:.0f} kB", bytes / 1e3);
  return bytes < 999.5e6 ? three_digits(bytes / 1e6) + " MB" : three_digits(bytes / 1e9) + " GB";
}

std::string format_bar(const TrainProgress& p, int width) {
  constexpr int kMinGauge = 10, kMaxGauge = 30;
  std::string text = cut(step_text(p), std::max(width, 0));
  for (const std::string& part : parts(p, words_for(p, width))) {
    const std::string longer = text + "  " + part;
    if (part != step_text(p) && columns(longer) <= width) text = longer;
  }
  const int room = width - columns(text) - 3;  // brackets and a blank
  if (p.total_steps <= 0 || room < kMinGauge) return text;
  return gauge(fraction_done(p), std::min(room, kMaxGauge)) + " " + text;
}

std::string format_line(const TrainProgress& p) {
  std::string out;
  for (const std::string& part : parts(p)) out += (out.empty() ? "" : "  ") + part;
  return out;
}

std::string format_json(const TrainProgress& p) {
  nlohmann::ordered_json line{{"event", "train"},
                              {"step", p.step},
                              {"epoch", p.epoch},
                              {"samples_per_s", p.samples_per_s},
                              {"data_wait", p.data_wait},
                              {"loss", nlohmann::ordered_json::object()},
                              {"learning_rate", p.learning_rate},
                              {"gradient_norm", p.gradient_norm},
                              {"memory_bytes", p.memory_bytes}};
  for (const auto& [task, loss] : p.loss) line["loss"][task] = loss;
  if (p.seconds_left) line["seconds_left"] = *p.seconds_left;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace mtrank
