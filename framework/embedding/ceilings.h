#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mtrank {

/// A product to be timed: A [m, k] times B [k, n], `groups` of them at once.
struct ProductShape {
  std::string name;
  int64_t m = 0, n = 0, k = 0, groups = 1;
};

/// How much a measurement of ceilings does.
struct CeilingSizes {
  int64_t copy_bytes = int64_t{1} << 30;
  int64_t table_bytes = int64_t{8} << 30;  ///< of rows to gather; less where less memory is free
  int64_t gathers = int64_t{1} << 22;      ///< rows
  int runs = 9;                            ///< of which the median counts
};

/// What a device does at best, measured on it.
struct Ceilings {
  struct Product {
    ProductShape shape;
    std::string precision;        ///< fp32, tf32 or bf16
    double flops_per_second = 0;  ///< 2 m n k a product
  };
  double copy = 0;                                 ///< bytes read and written a second
  std::vector<std::pair<int64_t, double>> gather;  ///< by bytes of a row: bytes of random rows a second
  std::vector<Product> products;
  std::string environment;  ///< as Accelerator::environment

  /// The rate of the longest rows that are no longer than this; of the shortest where all are longer.
  double gather_of(int64_t row_bytes) const;
  /// The best of a precision, 0 where none was measured.
  double best_product(const std::string& precision) const;
};

/// Copies, gathers rows of 64, 256 and 512 bytes of a table far larger than any cache, and multiplies random matrices
/// with the library that training uses; every shape in all three precisions, or in `precision` alone. Errors as
/// open_accelerator.
Ceilings measure_ceilings(std::span<const ProductShape> shapes, const CeilingSizes& sizes = {},
                          const std::string& precision = {});

}  // namespace mtrank
