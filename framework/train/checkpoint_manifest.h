#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mtrank {

/// The MANIFEST of a checkpoint, a small text that ends in a hash of itself:
///
///     mtrank-checkpoint 1
///     step 1200
///     best 1
///     file 44bc2cf5ad770999 17 state.json
///     end d24ec4f1a98c6e5b
struct CheckpointManifest {
  struct File {
    std::string name;
    uint64_t size = 0;
    uint64_t hash = 0;  ///< XXH64
  };
  int64_t step = 0;
  bool best = false;
  std::vector<File> files;

  std::string text() const;
  /// Throws FileError naming `path` and what is wrong.
  static CheckpointManifest parse(const std::string& path, std::string_view text);
  /// Of the checkpoint in directory `dir`.
  static CheckpointManifest read(const std::string& dir);
};

constexpr std::string_view manifest_name = "MANIFEST";

}  // namespace mtrank
