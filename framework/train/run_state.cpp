#include "framework/train/run_state.h"

#include <bit>
#include <nlohmann/json.hpp>

#include "framework/config/config.h"
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

void require_same_data(const RunState& saved, const RunState& now) {
  const std::pair<const char*, const char*> parts[] = {
      {"train", "training"}, {"valid", "validation"}, {"test", "test"}};
  const auto of = [](const RunState& state, const char* part) {
    const auto found = state.data_fingerprints.find(part);
    return found == state.data_fingerprints.end() ? std::string("none") : found->second;
  };
  for (const auto& [part, name] : parts)
    if (of(saved, part) != of(now, part))
      throw DataError("the " + std::string(name) + " data (data." + part +
                      ") is not what this run was started on: its fingerprint is " + of(now, part) +
                      ", the checkpoint has " + of(saved, part) +
                      ". Put it back as it was, or start a new run, with train.init_from for its weights");
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
              {"data_fingerprints", s.data_fingerprints},
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
    if (s.logical_shards < 1 || s.logical_shards > kMaxLogicalShards ||
        !std::has_single_bit(static_cast<uint64_t>(s.logical_shards)))
      throw FileError("checkpoint " + path + ": its state.json is damaged: logical_shards is " +
                      std::to_string(s.logical_shards));
    s.device = json.at("device").get<std::string>();
    if (!json.at("best").is_null()) s.best = json.at("best").get<double>();
    s.best_step = json.at("best_step").get<int64_t>();
    s.evaluations_since_best = json.at("evaluations_since_best").get<int64_t>();
    s.evaluation_due = json.at("evaluation_due").get<bool>();
    s.done = json.at("done").get<bool>();
    s.config = json.at("config").get<std::string>();
    s.data_fingerprints = json.at("data_fingerprints").get<std::map<std::string, std::string>>();
    s.features = json.at("features").get<std::string>();
    return s;
  } catch (const Json::exception& e) {
    throw FileError("checkpoint " + path + ": its state.json is damaged: " + e.what());
  }
}

}  // namespace mtrank
