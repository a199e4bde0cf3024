#pragma once

#include <span>

#include "framework/core/isa.h"
#include "framework/core/math.h"
#include "framework/core/tensor.h"
#include "framework/graph/graph.h"

namespace mtrank {

/// y[i] = f(i), or y[i] += f(i). A body for `for_isa`: f is inline, so that the loop vectorises.
template <class T, class F>
MTRANK_INLINE void write_row(T* y, int64_t n, bool add, const F& f) {
  if (add) {
    for (int64_t i = 0; i < n; ++i) y[i] += f(i);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = f(i);
  }
}

/// The width of values that must all have the same. Throws ShapeError naming the op.
int64_t common_width(const char* op, std::span<const Value> values);

}  // namespace mtrank
