#include "framework/embedding/ceilings.h"

#include <algorithm>

namespace mtrank {

double Ceilings::gather_of(int64_t row_bytes) const {
  double rate = gather.empty() ? 0 : gather.front().second;
  for (const auto& [bytes, measured] : gather)
    if (bytes <= row_bytes) rate = measured;
  return rate;
}

double Ceilings::best_product(const std::string& precision) const {
  double best = 0;
  for (const Product& product : products)
    if (product.precision == precision) best = std::max(best, product.flops_per_second);
  return best;
}

}  // namespace mtrank
