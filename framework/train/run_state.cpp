#include "framework/train/run_state.h"

#include <nlohmann/json.hpp>

#include "framework/core/error.h"

namespace mtrank {

using Json = nlohmann::ordered_json;

bool RunState::take_evaluation(const std::optional<double>& value, MetricDirection direction) {
  if (!value || (best && !is_better(direction, *value, *best))) {
    ++evaluations_since_best;
    return false;
  }
  best = value;
  best_step = step;
  evaluations_since_best = 0;
  return true;
}

std::string to_json(const RunState& s) {
  return Json{{"step", s.step},
              {"epoch", s.epoch},
              {"sample", s.sample},
              {"logical_shards", s.logical_shards},
              {"device", s.device},
              {"best", s.best ? Json(*s.best) : Json()},
              {"best_step", s.best_step},
              {"evaluations_since_best", s.evaluations_since_best},
              {"evaluation_due", s.evaluation_due},
              {"done", s.done},
              {"config", s.config},
              {"data_fingerprint", s.data_fingerprint},
              {"features", s.features}}
      .dump(1);
}

RunState run_state_from_json(const std::string& text, const std::string& path) {
  try {
    const Json json = Json::parse(text);
    RunState s;
    s.step = json.at("step").get<int64_t>();
    s.epoch = json.at("epoch").get<int64_t>();
    s.sample = json.at("sample").get<int64_t>();
    s.logical_shards = json.at("logical_shards").get<int64_t>();
    s.device = json.at("device").get<std::string>();
    if (!json.at("best").is_null()) s.best = json.at("best").get<double>();
    s.best_step = json.at("best_step").get<int64_t>();
    s.evaluations_since_best = json.at("evaluations_since_best").get<int64_t>();
    s.evaluation_due = json.at("evaluation_due").get<bool>();
    s.done = json.at("done").get<bool>();
    s.config = json.at("config").get<std::string>();
    s.data_fingerprint = json.at("data_fingerprint").get<std::string>();
    s.features = json.at("features").get<std::string>();
    return s;
  } catch (const Json::exception& e) {
    throw FileError("checkpoint " + path + ": its state.json is damaged: " + e.what());
  }
}

}  // namespace mtrank
