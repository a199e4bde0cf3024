#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace mtrank {

/// A text file that appears whole or not at all; compressed when its name ends in ".gz". The compressed bytes depend on
/// the text and on zlib's version alone (no time, no name).
class TextOutput {
 public:
  explicit TextOutput(const std::string& path);
  ~TextOutput();
  TextOutput(const TextOutput&) = delete;
  TextOutput& operator=(const TextOutput&) = delete;

  void write(std::string_view text);
  /// Once, at the end. Without it nothing appears.
  void commit();

 private:
  struct State;
  void flush(bool last);
  std::unique_ptr<State> state_;
};

}  // namespace mtrank
