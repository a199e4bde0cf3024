#pragma once

#include <string>
#include <vector>

#include "framework/config/config.h"
#include "framework/data/transforms.h"
#include "framework/metrics/eval_record.h"
#include "framework/serving/safetensors.h"
#include "framework/train/model_state.h"
#include "models/model.h"

namespace mtrank {

/// Loads and checks a config, layers included; warnings go to stderr. Throws ConfigError with everything that is wrong,
/// or when it asks for a device that this build does not have.
Config load_for_training(const std::string& path, const std::vector<std::string>& overrides);

/// Rows of every table, vocabularies included.
TableRows table_rows(const FeatureTransforms& transforms);

struct Graphs {
  Graph training, scoring;
};
/// Throws ConfigError with every shape that does not fit.
Graphs build_graphs(const Config& config, const TableRows& rows);

/// Reads tensors of a checkpoint into where `tensors` lie. Throws FileError naming one that is missing or differs.
void load_tensors(const SafetensorsReader& reader, const std::vector<TensorSource>& tensors);

/// An evaluation as a small table: a row a task, a column a metric; under it, why what is undefined is so.
std::string format_table(const EvalRecord& record);
/// A table for each column of `eval.segments`, of its first `most` values, each after a newline.
std::string format_segments(const EvalRecord& record, size_t most);

}  // namespace mtrank
