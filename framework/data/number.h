#pragma once

#include <cstdint>
#include <string_view>

namespace mtrank {

/// A finite decimal number: optional sign, digits, point, exponent; correctly rounded, whatever the locale.
/// False, and `value` untouched, for anything else: nan, inf, hexadecimal, blanks.
bool parse_number(std::string_view text, double& value);
/// An integer with an optional minus sign. False for anything else, and when it does not fit.
bool parse_integer(std::string_view text, int64_t& value);

/// log(1 + x) for x >= 0, to a few ulp, with the same bits on every machine.
double portable_log1p(double x);

}  // namespace mtrank
