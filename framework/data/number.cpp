#include "framework/data/number.h"

#include <charconv>
#include <cmath>

#include "framework/core/portable_math.h"

namespace mtrank {

bool parse_number(std::string_view text, double& value) {
  const char* p = text.data();
  const char* end = p + text.size();
  if (p != end && *p == '+' && p + 1 != end && p[1] != '-') ++p;
  const char* digits = p + (p != end && *p == '-');
  if (digits == end) return false;
  if (end - digits <= 15) {  // short integers are exact in a double
    int64_t n = 0;
    const char* q = digits;
    for (; q != end && static_cast<unsigned char>(*q - '0') < 10; ++q) n = 10 * n + (*q - '0');
    if (q == end) {
      value = digits == p ? static_cast<double>(n) : -static_cast<double>(n);
      return true;
    }
  }
  if (static_cast<unsigned char>(*digits - '0') >= 10 && *digits != '.') return false;  // inf, nan
  double parsed;
  const auto [stop, error] = std::from_chars(p, end, parsed);
  if (error == std::errc::result_out_of_range && stop == end) {
    // from_chars does not say which way: too small rounds to zero, too large is no number.
    const auto e = text.find_first_of("eE");
    if (e == std::string_view::npos || e + 1 >= text.size() || text[e + 1] != '-') return false;
    parsed = 0;
  } else if (error != std::errc() || stop != end || !std::isfinite(parsed)) {
    return false;
  }
  value = parsed;
  return true;
}

bool parse_integer(std::string_view text, int64_t& value) {
  int64_t parsed;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || stop != text.data() + text.size() || text.empty()) return false;
  value = parsed;
  return true;
}

double portable_log1p(double x) {
  const double u = 1.0 + x;
  if (u == 1.0) return x;
  return portable_log(u) * (x / (u - 1.0));
}

}  // namespace mtrank
