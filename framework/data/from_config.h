#pragma once

#include "framework/data/reader.h"
#include "framework/data/row_spec.h"
#include "framework/data/transforms.h"

namespace mtrank {

struct Config;

/// What a config says about data, as the data layer takes it. The config has been checked.
ReadOptions read_options(const Config& config);
/// Nothing is learned yet.
FeatureTransforms feature_transforms(const Config& config);
/// Labels, conditions, keys of metrics, weights and the sample; no split.
RowSpec row_spec(const Config& config);

}  // namespace mtrank
