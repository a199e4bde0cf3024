#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "framework/serving/safetensors.h"

namespace mtrank {

/// Raw rows, as text, and what the model scored them when it was exported. Whoever loads the bundle scores them again.
struct GoldenRows {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< [N, columns]; any bytes
  std::vector<std::string> outputs;
  std::vector<float> scores;  ///< [N, outputs]
};

/// What serving needs to know, in one file that any safetensors reader can open. It holds no code, and nothing in it
/// depends on time, host or path: the same model gives the same bytes.
struct Bundle {
  // JSON, each owned by the part of the program that it describes.
  std::string graph;       ///< forward only
  std::string input;       ///< columns, delimiter, missing
  std::string features;    ///< transforms; vocabularies by the names of their tensors
  std::string tasks;       ///< what each was trained on
  std::string outputs;     ///< names, in order, and what each is
  std::string config;      ///< resolved, without paths, device and threads
  std::string provenance;  ///< version, seed, fingerprint of the data
  std::vector<TensorSource> tensors;
  GoldenRows golden;
  std::shared_ptr<const void> memory;  ///< keeps the tensors of a bundle that was read

  /// Null when there is none.
  const TensorSource* find(std::string_view name) const;
};

/// Whole or not at all, see AtomicFile. Throws ResourceError.
void write_bundle(const std::string& path, const Bundle& bundle);

/// Reads everything into memory and checks it all: versions, the header's checksum, every tensor's. Tensors start at
/// multiples of 64 bytes. Throws FileError naming the file and what is damaged or missing.
Bundle read_bundle(const std::string& path);

/// By content.
bool is_bundle(const std::string& path);

/// What `mtrank inspect` prints. Checks the header, reads no tensors.
std::string describe_bundle(const std::string& path);

}  // namespace mtrank
