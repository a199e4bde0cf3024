#pragma once

#include <string>
#include <vector>

#include "framework/graph/graph.h"

namespace mtrank {

/// Where a graph's dense weights lie in one flat buffer: one after the other, each from a multiple of 16 floats on.
/// What lies between them stays 0.
class ParameterLayout {
 public:
  explicit ParameterLayout(const Graph& graph);

  struct Entry {
    std::string name;
    std::vector<int64_t> shape;
    WeightInit init;
    int64_t rows, cols, offset;
    int64_t size() const { return rows * cols; }
  };
  const std::vector<Entry>& entries() const { return entries_; }
  int64_t elements() const { return elements_; }
  /// Null where there is none of that name.
  const Entry* find(const std::string& name) const;
  /// One view an entry, into a buffer of `elements()` floats.
  std::vector<View> views(float* buffer) const;

 private:
  std::vector<Entry> entries_;
  int64_t elements_ = 0;
};

}  // namespace mtrank
