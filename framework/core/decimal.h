#pragma once

#include <optional>
#include <string_view>

namespace mtrank {

/// The double nearest to a decimal number, whatever the locale: an optional minus sign, digits with an optional point,
/// an optional exponent. Beyond all doubles it is an infinity, closer to nothing than any of them a zero. nullopt for
/// all other text.
std::optional<double> parse_decimal(std::string_view text);

}  // namespace mtrank
