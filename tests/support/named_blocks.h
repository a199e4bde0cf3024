#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/golden.h"

namespace mtrank::testing {

/// Where a reference tensor lies inside one of our weights: experts and gates stand side by side in one matrix.
struct Block {
  std::string reference;  ///< name of the golden tensor, [rows, cols] or [cols]
  std::string weight;     ///< ours, row-major
  int64_t row = 0, column = 0;
};

inline int64_t block_rows(const GoldenTensor& t) { return t.shape.size() == 2 ? t.shape[0] : 1; }

/// Copies `from` into its place in a weight of `cols` columns.
template <class T>
void put_block(const Block& block, const GoldenTensor& from, std::vector<T>& weight, int64_t cols) {
  const int64_t width = from.shape.back();
  for (int64_t r = 0; r < block_rows(from); ++r)
    for (int64_t c = 0; c < width; ++c)
      weight.at(static_cast<size_t>((block.row + r) * cols + block.column + c)) =
          static_cast<T>(from.values[static_cast<size_t>(r * width + c)]);
}

/// The values of its place in a weight, in the order of `like`.
template <class T>
std::vector<double> get_block(const Block& block, const GoldenTensor& like, const std::vector<T>& weight,
                              int64_t cols) {
  std::vector<double> out;
  for (int64_t r = 0; r < block_rows(like); ++r)
    for (int64_t c = 0; c < like.shape.back(); ++c)
      out.push_back(weight.at(static_cast<size_t>((block.row + r) * cols + block.column + c)));
  return out;
}

}  // namespace mtrank::testing
