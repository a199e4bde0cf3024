#include "framework/core/decimal.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace mtrank {
namespace {

/// On which side of the doubles a decimal number lies that is outside of them: from_chars does not say.
bool is_tiny(std::string_view text) {
  const size_t e = std::min(text.find_first_of("eE"), text.size());
  const size_t point = std::min(text.find('.'), e), first = text.find_first_of("123456789");
  const double places = first < point ? static_cast<double>(point - first) : -static_cast<double>(first - point - 1);
  double exponent = 0;
  if (e < text.size()) {
    std::string_view digits = text.substr(e + 1);
    const bool negative = digits.front() == '-';
    if (negative || digits.front() == '+') digits.remove_prefix(1);
    uint64_t value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    exponent = result.ec == std::errc() ? static_cast<double>(value) : std::numeric_limits<double>::infinity();
    if (negative) exponent = -exponent;
  }
  return places + exponent < 0;
}

}  // namespace

std::optional<double> parse_decimal(std::string_view text) {
  const bool negative = text.starts_with('-');
  const size_t first = negative ? 1 : 0;
  if (first == text.size() || (text[first] != '.' && (text[first] < '0' || text[first] > '9'))) return std::nullopt;
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data() + first, text.data() + text.size(), value);
  if (stop != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range)
    value = is_tiny(text) ? 0 : std::numeric_limits<double>::infinity();
  else if (error != std::errc())
    return std::nullopt;
  return negative ? -value : value;
}

}  // namespace mtrank
