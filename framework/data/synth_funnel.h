#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "framework/data/funnel_world.h"

namespace mtrank {

struct SynthFunnelOptions {
  int64_t rows = 400000;
  uint64_t seed = 1;
  std::string out;     ///< directory; made where there is none
  bool gzip = true;    ///< train.csv.gz ... or train.csv ...
  double valid = 0.1;  ///< shares of the rows: first train, then valid, then test, in time order
  double test = 0.1;
};

/// One file that was written, with what a perfect model would say of its rows.
struct SynthFunnelSplit {
  std::string name;  ///< train | valid | test
  std::string path;
  int64_t rows = 0;
  std::array<int64_t, 3> positives{};             ///< by stage
  std::array<std::vector<float>, 3> probability;  ///< by stage, then row; empty for train
  std::array<std::vector<float>, 3> label;        ///< the same
};

/// Throws ConfigError for numbers that make no log.
void check_synth_funnel(const SynthFunnelOptions& options);

/// Writes a synthetic funnel log (funnel_world.h) as three CSV files:
///
///     time,user_id,user_segment,item_id,category_id,hour,device,position,price,item_age_days,user_tenure_days,
///     clicked_items,clicked_categories,click,cart,checkout,true_p_click,true_p_cart,true_p_checkout
///
/// Lists are joined with "|". Every label is given on every row; true_p_cart and true_p_checkout are probabilities of
/// the impression, not conditional ones. The text is a function of (rows, seed, shares) alone.
/// Throws ConfigError for options out of range, ResourceError when a file cannot be written.
std::array<SynthFunnelSplit, 3> synth_funnel(const SynthFunnelOptions& options);

}  // namespace mtrank
