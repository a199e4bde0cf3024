#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "framework/data/transforms.h"
#include "framework/serving/safetensors.h"
#include "framework/train/weight_layout.h"

namespace mtrank {

/// What a warm start takes its weights from: a bundle's or a checkpoint's tensors, which value has which row, and what
/// the dense weights multiply.
struct WarmSource {
  std::string path;              ///< of the bundle or the checkpoint
  FeatureTransforms transforms;  ///< with vocabularies
  std::vector<TensorSource> weights;
  std::map<std::string, WeightLayout> layouts;
  std::shared_ptr<const void> memory;

  const TensorSource* find(const std::string& name) const;
};

using Warn = std::function<void(const std::string& message)>;

/// `path`: a bundle, a checkpoint, or a run directory, of which the bundle is taken, or the newest checkpoint where it
/// has none yet. Reads and checks all of it. Throws ConfigError when there is no such path, FileError when it holds
/// none of these or is damaged.
WarmSource open_warm_source(const std::string& path, const Warn& warn);

/// What a warm start did, weight by weight.
struct WarmReport {
  struct Rows {
    std::string table;
    int64_t taken = 0, fresh = 0, dropped = 0;  ///< of a vocabulary, row 0 among those taken
  };
  std::string path;
  std::vector<std::string> taken;    ///< names
  std::vector<std::string> partly;   ///< dense weights of other inputs or outputs, each with what is new and dropped
  std::vector<std::string> fresh;    ///< each with why: the source has none of that name, or one that does not fit
  std::vector<std::string> dropped;  ///< of the source, each with why: no such weight here, or one that does not fit
  std::vector<Rows> rows;            ///< of the tables taken by value

  /// Several lines, for the user.
  std::string text() const;
  /// One line: {"event":"warm_start","path":…,"taken":[…],"partly":[…],"new":[…],"dropped":[…],
  /// "rows":{"<table>":{"taken":N,…}}}
  std::string json() const;
};

/// Overwrites those of `weights` that the source has under the same name, shape and layout. The rows of a vocabulary's
/// table go by value, whatever their number: a value new here keeps what `weights` has, row 0 (unseen values) takes row
/// 0. Other tables are taken whole, where their ids mean the same. Optimisers' states are not taken.
WarmReport warm_start(const WarmSource& source, const FeatureTransforms& transforms,
                      const std::map<std::string, WeightLayout>& layouts, const std::vector<TensorSource>& weights);

}  // namespace mtrank
