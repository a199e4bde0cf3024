#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "framework/core/fs.h"

namespace mtrank {

/// A TensorBoard event file with scalars: TFRecord framing around hand-encoded `tensorflow.Event` messages, so that no
/// protobuf library is needed. A record is written whole, at once; a file whose last record is torn is still readable.
///
/// A resumed run opens a new file: `start_at` makes TensorBoard forget what earlier files say of that step and later.
class EventWriter {
 public:
  using Scalar = std::pair<std::string, double>;

  /// Creates the file; `seconds` (Unix time) goes into its records and nothing else depends on it.
  EventWriter(const std::string& path, double seconds);

  void start_at(int64_t step, double seconds);
  /// One record with all of them; values are stored as float32.
  void scalars(int64_t step, double seconds, std::span<const Scalar> values);

  /// `DIR/events.out.tfevents.<seconds>.<n>.mtrank` with the first n that is free: names sort in the order of runs.
  static std::string path_in(const std::string& dir, double seconds);

 private:
  void record(std::string_view event);

  disk::Output file_;
};

/// One TFRecord: length, its checksum, data, its checksum. Exposed for tests.
std::string tfrecord(std::string_view data);

}  // namespace mtrank
