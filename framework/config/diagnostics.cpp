#include "framework/config/diagnostics.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "framework/core/error.h"

namespace mtrank {
namespace {

struct CodeInfo {
  const char* id;
  const char* title;
};

constexpr CodeInfo kCodes[] = {
#define MTRANK_CODE(id, name, title) {#id, title},
#include "framework/config/codes.def"
#undef MTRANK_CODE
};

/// Control characters would end the text where it is printed, or move the cursor. One for one, so that a caret below
/// counts the same columns.
std::string printable(std::string text) {
  for (char& c : text) {
    if (c == '\t' || c == '\n') c = ' ';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

std::string source_line(const Location& at) {
  std::string_view text = at.source->text;
  for (int line = 1; line < at.line; ++line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  std::string out(text.substr(0, text.find('\n')));
  if (!out.empty() && out.back() == '\r') out.pop_back();
  return printable(std::move(out));
}

size_t code_points(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

/// The part of a very long line around `column`, and the column within it.
std::pair<std::string, size_t> window(const std::string& line, size_t column) {
  constexpr size_t wide = 160, before = 60;
  if (code_points(line) <= wide) return {line, column};
  const size_t skip = column > before ? column - before : 0;
  std::string out;
  size_t at = 0;
  for (const char c : line) {
    at += (static_cast<unsigned char>(c) & 0xC0u) != 0x80u;
    if (at > skip && at <= skip + wide) out += c;
  }
  return {out, column - skip};
}

size_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment: insert, delete, replace, swap neighbours.
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace

const char* code_id(Code code) { return kCodes[static_cast<size_t>(code)].id; }
const char* code_title(Code code) { return kCodes[static_cast<size_t>(code)].title; }

void Diagnostics::error(Code code, const Location& at, std::string message, std::string help) {
  ++reported_;
  add({Severity::error, code, std::move(message), at, std::move(help)});
}

void Diagnostics::warning(Code code, const Location& at, std::string message, std::string help) {
  add({Severity::warning, code, std::move(message), at, std::move(help)});
}

void Diagnostics::add(Diagnostic d) {
  // A broken file can hold tens of thousands; the first ones say what is wrong with it.
  if (list_.size() >= kMaxKept) {
    ++(d.severity == Severity::error ? errors_ : warnings_);
    return;
  }
  for (const Diagnostic& known : list_) {
    if (known.code == d.code && known.at.source == d.at.source && known.at.line == d.at.line &&
        known.at.column == d.at.column && known.message == d.message)
      return;
  }
  ++(d.severity == Severity::error ? errors_ : warnings_);
  list_.push_back(std::move(d));
}

std::vector<Diagnostic> Diagnostics::sorted() const {
  std::vector<const Source*> order;
  for (const Diagnostic& d : list_)
    if (std::find(order.begin(), order.end(), d.at.source.get()) == order.end()) order.push_back(d.at.source.get());
  const auto rank = [&](const Diagnostic& d) {
    return std::find(order.begin(), order.end(), d.at.source.get()) - order.begin();
  };
  std::vector<Diagnostic> out = list_;
  std::stable_sort(out.begin(), out.end(), [&](const Diagnostic& a, const Diagnostic& b) {
    return std::make_tuple(rank(a), a.at.line, a.at.column) < std::make_tuple(rank(b), b.at.line, b.at.column);
  });
  return out;
}

std::string render(const Diagnostic& d, bool color) {
  const bool is_error = d.severity == Severity::error;
  const std::string strong = color ? "\033[1m" : "", blue = color ? "\033[1;34m" : "", reset = color ? "\033[0m" : "";
  const std::string hue = color ? (is_error ? "\033[1;31m" : "\033[1;33m") : "";
  std::string out = hue + (is_error ? "error[" : "warning[") + code_id(d.code) + "]" + reset + strong + ": " +
                    printable(d.message) + reset + "\n";
  std::string margin = " ";
  if (d.at.known()) {
    const std::string number = std::to_string(d.at.line);
    margin.assign(number.size() + 1, ' ');
    const auto [line, column] = window(source_line(d.at), static_cast<size_t>(std::max(d.at.column, 1)));
    const size_t room = std::max<size_t>(code_points(line), column) - column + 1;
    const size_t carets = std::clamp<size_t>(static_cast<size_t>(std::max(d.at.length, 1)), 1, room);
    out += margin.substr(1) + blue + "--> " + reset + d.at.source->name + ":" + number + ":" +
           std::to_string(d.at.column) + "\n";
    out += margin + blue + "|" + reset + "\n";
    out += blue + number + " |" + reset + " " + line + "\n";
    out += margin + blue + "|" + reset + " " + std::string(column - 1, ' ') + hue + std::string(carets, '^') + reset +
           "\n";
  }
  if (!d.help.empty()) out += margin + blue + "=" + reset + " help: " + printable(d.help) + "\n";
  return out;
}

std::string Diagnostics::render(bool color) const {
  if (list_.empty()) return {};
  std::string out;
  for (const Diagnostic& d : sorted()) out += mtrank::render(d, color) + "\n";
  const auto count = [](int n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); };
  if (const size_t all = static_cast<size_t>(errors_ + warnings_); all > list_.size())
    out += "... and " + std::to_string(all - list_.size()) + " more\n\n";
  if (errors_ > 0) out += count(errors_, "error");
  if (warnings() > 0) out += (errors_ > 0 ? ", " : "") + count(warnings(), "warning");
  return out + "\n";
}

void Diagnostics::throw_if_errors(bool color) const {
  if (errors_ > 0) throw ConfigError(render(color));
}

bool color_wanted() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  if ((no_color && *no_color) || (term && std::strcmp(term, "dumb") == 0)) return false;
  return isatty(STDERR_FILENO) == 1;
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  if (name.size() > 100) return {};
  const std::string wanted = lower(name);
  size_t best = std::max<size_t>(1, name.size() / 3) + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > 100) continue;
    const size_t distance = edit_distance(wanted, lower(candidate));
    if (distance < best) best = distance, found = candidate;
  }
  return found;
}

std::string suggestion(std::string_view name, const std::vector<std::string>& candidates, std::string_view what) {
  if (const std::string near = nearest(name, candidates); !near.empty()) return "did you mean `" + near + "`?";
  if (candidates.empty()) return {};
  std::string out(what);
  out += ": ";
  const size_t shown = std::min<size_t>(candidates.size(), 30);
  for (size_t i = 0; i < shown; ++i) out += (i ? ", `" : "`") + candidates[i] + "`";
  return out + (shown < candidates.size() ? ", ..." : "");
}

}  // namespace mtrank
