#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "framework/serving/safetensors.h"

namespace mtrank {

/// A saved state of training: a directory with `tensors.safetensors`, `state.json` and a MANIFEST that gives the size
/// and hash of both. Opening one checks all of it against the MANIFEST and throws FileError naming what is damaged.
class Checkpoint {
 public:
  explicit Checkpoint(std::string path);

  const std::string& path() const { return path_; }
  int64_t step() const { return step_; }
  /// Was it the best one when it was saved?
  bool best() const { return best_; }
  const std::string& state_json() const { return state_json_; }
  const SafetensorsReader& tensors() const { return *tensors_; }

 private:
  std::string path_;
  int64_t step_ = 0;
  bool best_ = false;
  std::string state_json_;
  std::unique_ptr<SafetensorsReader> tensors_;
};

/// By content: does this directory hold a checkpoint's MANIFEST?
bool is_checkpoint(const std::string& path);

/// What `mtrank inspect` prints: reads the MANIFEST, the state's names and the tensors' names, not the tensors.
std::string describe_checkpoint(const std::string& path);

/// The checkpoints of one run. At every moment, whatever fails and whenever the process dies, the newest one that was
/// saved whole can be loaded: it is written beside its final name, every file synced, the MANIFEST last, and renamed;
/// older ones are deleted only after that. One process at a time.
class CheckpointStore {
 public:
  /// `keep` >= 1: how many of the newest are kept; the best one is kept besides.
  /// The directory is made by the first `save`.
  explicit CheckpointStore(std::string dir, int keep = 2);

  struct Name {
    int64_t step = 0;
    int repeat = 0;  ///< a step that is saved again gets a name of its own
    std::string path;
  };
  /// Oldest first, by their names alone; half-written ones are not among them.
  std::vector<Name> list() const;

  /// Tensors are streamed from where they are. Throws ResourceError when the disk is full, read-only or broken; what
  /// was saved before is untouched then.
  void save(int64_t step, const std::vector<TensorSource>& tensors, const std::string& state_json, bool is_best);

  using Warn = std::function<void(const std::string& message)>;
  /// The newest one; a damaged one is passed over with a warning. Nothing when none was ever saved.
  /// Throws FileError when there are some and all are damaged.
  std::optional<Checkpoint> latest(const Warn& warn) const;
  /// The newest of those that were the best when they were saved.
  std::optional<Checkpoint> best(const Warn& warn) const;

 private:
  std::string new_name(int64_t step) const;
  void remove_leftovers() const;
  void remove_old(const std::string& saved) const;
  std::optional<Checkpoint> newest(const Warn& warn, bool best_only) const;

  std::string dir_;
  int keep_;
};

}  // namespace mtrank
