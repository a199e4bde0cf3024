#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace mtrank {

/// Where a run stands, beside its tensors: the checkpoint's state.json.
struct RunState {
  int64_t step = 0;    ///< steps done
  int64_t epoch = 0;   ///< of the next sample
  int64_t sample = 0;  ///< position in the epoch of the next sample
  int64_t logical_shards = 8;
  std::optional<double> best;  ///< value of eval.best at best_step
  int64_t best_step = 0;
  int64_t evaluations_since_best = 0;
  bool done = false;             ///< all training steps are behind
  std::string config;            ///< resolved, as YAML
  std::string data_fingerprint;  ///< hex
};

std::string to_json(const RunState& state);
/// Throws FileError naming the field and the checkpoint.
RunState run_state_from_json(const std::string& text, const std::string& path);

}  // namespace mtrank
