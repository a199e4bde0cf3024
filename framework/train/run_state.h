#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "framework/metrics/metric.h"

namespace mtrank {

/// Where a run stands, beside its tensors: the checkpoint's state.json.
struct RunState {
  int64_t step = 0;    ///< steps done
  int64_t epoch = 0;   ///< of the next sample
  int64_t sample = 0;  ///< position in the epoch of the next sample
  int64_t logical_shards = 1;
  std::string device = "cpu";  ///< "cpu", or what tells accelerators and their libraries apart
  std::optional<double> best;  ///< value of eval.best at best_step
  int64_t best_step = 0;
  int64_t evaluations_since_best = 0;
  bool evaluation_due = false;  ///< the validation that belongs to `step` was cut short by a signal
  bool done = false;            ///< all training steps are behind
  std::string config;           ///< resolved, as YAML
  std::map<std::string, std::string> data_fingerprints;  ///< hex, by part
  std::string features;                                  ///< transforms_to_json; the vocabularies lie among the tensors

  /// Takes the value of eval.best at `step`, if it has one. Returns whether it is the best so far.
  bool take_evaluation(const std::optional<double>& value, MetricDirection direction);
};

/// Throws DataError naming the part of the data that is not what it was when `saved` was written. Other training rows
/// come first: what is learned from them changes how the other parts are encoded.
void require_same_data(const RunState& saved, const RunState& now);

std::string to_json(const RunState& state);
/// Throws FileError naming the field and the checkpoint.
RunState run_state_from_json(const std::string& text, const std::string& path);

}  // namespace mtrank
