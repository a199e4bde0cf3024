#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "framework/data/transforms.h"
#include "framework/serving/safetensors.h"

namespace mtrank {

/// The vocabularies of `transforms` as tensors `vocab.<table>.bytes` and `vocab.<table>.offsets`, appended to
/// `tensors`; they live as long as what is returned.
std::shared_ptr<const void> add_vocabularies(const FeatureTransforms& transforms, std::vector<TensorSource>& tensors);

/// Null when there is none of that name.
using FindTensor = std::function<const TensorSource*(const std::string& name)>;

/// The other way round: gives every table with `ids: vocab` its vocabulary. Throws FileError naming `file` and what is
/// missing or does not fit.
void read_vocabularies(FeatureTransforms& transforms, const FindTensor& find, const std::string& file);

}  // namespace mtrank
