#include "framework/data/number.h"

#include <charconv>
#include <cmath>

#include "framework/core/decimal.h"
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
  const std::optional<double> parsed = parse_decimal(std::string_view(p, end));
  if (!parsed || !std::isfinite(*parsed)) return false;
  value = *parsed;
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
