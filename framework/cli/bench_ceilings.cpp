#include "framework/cli/bench.h"
#include "framework/core/atomic_file.h"

namespace mtrank::cli {

CeilingSizes ceiling_sizes(int64_t n) { return {.copy_bytes = n << 17, .table_bytes = n << 20, .gathers = n << 9}; }

int bench_ceilings(const BenchOptions& options) {
  // Of the two models in configs/bench: products of the forward pass, and of two weights' gradients.
  const int64_t n = options.ceiling_size, rows = 8 * n;
  const ProductShape shapes[] = {
      {"square", n, n, n},
      {"DLRM cross, V", rows, 512, 3456},
      {"DLRM cross, U", rows, 3456, 512},
      {"DLRM tower, first", rows, 1024, 3456},
      {"DLRM tower, second", rows, 1024, 1024},
      {"DLRM tower, gradient", 3456, 1024, rows},
      {"funnel cross", rows, 1677, 1677},
      {"funnel cross, 1,680 wide", rows, 1680, 1680},
      {"funnel cross, gradient", 1677, 1677, rows},
      {"funnel experts, first", rows, 6144, 1677},
      {"funnel experts, second", rows, 512, 1024, 6},
      {"funnel tower, first", rows, 256, 512},
  };
  const Ceilings ceilings = measure_ceilings(shapes, ceiling_sizes(n));
  print_ceilings(ceilings);
  if (!options.json.empty()) write_file_atomically(options.json, ceilings_json(ceilings) + "\n");
  return 0;
}

}  // namespace mtrank::cli
