#pragma once

#include <string_view>

namespace mtrank {

/// The numbers that a parameter may be.
struct Range {
  double low, high;
  bool low_open, high_open;  ///< the end itself is not one of them
  bool flag = false;         ///< 0 or 1; configs write false or true

  constexpr bool holds(double x) const { return (low_open ? x > low : x >= low) && (high_open ? x < high : x <= high); }
};
/// [low, high], [low, high), (low, high] and (low, high). Steps compute in floats: an end far inside them keeps what is
/// made of the number finite too.
constexpr Range within(double low, double high) { return {low, high, false, false}; }
constexpr Range within_below(double low, double high) { return {low, high, false, true}; }
constexpr Range above_within(double low, double high) { return {low, high, true, false}; }
constexpr Range between(double low, double high) { return {low, high, true, true}; }
constexpr Range flag() { return {0, 1, false, false, true}; }

/// A number that a loss or an optimiser takes, and a key of its config: `loss: {type: bce, pos_weight: 3}`.
struct Parameter {
  std::string_view name;
  double otherwise;  ///< its default
  Range range;
  const char* help;
  std::string_view needs = {};  ///< where this one is not 0, that parameter must not be 0 either
};

}  // namespace mtrank
