#pragma once

#include <string>
#include <vector>

#include "framework/config/config.h"
#include "framework/data/first_rows.h"
#include "framework/data/reader.h"
#include "framework/data/transforms.h"
#include "framework/graph/graph.h"
#include "framework/serving/bundle.h"

namespace mtrank {

/// What a trained model is exported from. `weights` are named as the graph's values and stay where they are.
struct ExportedModel {
  const Config& config;                 ///< loaded, its layers resolved
  const Graph& graph;                   ///< for scoring
  const FeatureTransforms& transforms;  ///< with their vocabularies and statistics
  ReadOptions read;
  std::vector<TensorSource> weights;
  uint64_t data_fingerprint = 0;
};

/// The bundle of a model, without golden rows. A pure function of its input.
Bundle make_bundle(const ExportedModel& model);

/// Scores rows (values of the columns that the transforms need, as `first_rows` gives them) and puts them and their
/// scores into the bundle.
void add_golden_rows(Bundle& bundle, std::vector<std::vector<std::string>> rows);

}  // namespace mtrank
