#include "framework/ops/product_logit.h"

#include "cuda/elementwise.cuh"

namespace mtrank::cuda {
namespace {

struct Value {
  static constexpr int kIn = 2, kOut = 1;
  MTRANK_HD void operator()(const float (&x)[2], float (&y)[1]) const { y[0] = product_logit_of(x[0], x[1]).value; }
};

/// ds, a, b -> da, db.
struct Derivatives {
  static constexpr int kIn = 3, kOut = 2;
  MTRANK_HD void operator()(const float (&x)[3], float (&y)[2]) const {
    const ProductLogit<float> s = product_logit_of(x[1], x[2]);
    y[0] = x[0] * s.da, y[1] = x[0] * s.db;
  }
};

}  // namespace

/// Moves 3 C numbers a row.
void launches::product_logit(const Call& call) { map(call, Value{}); }

/// Moves 5 C numbers a row.
void launches::product_logit_gradient(const Call& call) { map(call, Derivatives{}); }

}  // namespace mtrank::cuda
