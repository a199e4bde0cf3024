#include "framework/core/reduce.h"

namespace mtrank {
namespace {

template <class T, class F>
T run(const F& body) {
  T result{};
  T* out = &result;
  for_isa([=]() MTRANK_INLINE_LAMBDA { *out = body(); });
  return result;
}

}  // namespace

float sum(const float* x, int64_t n) {
  return run<float>([=]() MTRANK_INLINE_LAMBDA { return lanes::sum(x, n); });
}
double sum_f64(const float* x, int64_t n) {
  return run<double>([=]() MTRANK_INLINE_LAMBDA { return lanes::sum_f64(x, n); });
}
double sum_squares(const float* x, int64_t n) {
  return run<double>([=]() MTRANK_INLINE_LAMBDA { return lanes::sum_squares(x, n); });
}
float dot(const float* x, const float* y, int64_t n) {
  return run<float>([=]() MTRANK_INLINE_LAMBDA { return lanes::dot(x, y, n); });
}
float max_abs(const float* x, int64_t n) {
  return run<float>([=]() MTRANK_INLINE_LAMBDA { return lanes::max_abs(x, n); });
}
bool all_finite(const float* x, int64_t n) {
  return run<bool>([=]() MTRANK_INLINE_LAMBDA { return lanes::all_finite(x, n); });
}

}  // namespace mtrank
