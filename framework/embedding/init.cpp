#include "framework/embedding/init.h"

#include <algorithm>

#include "framework/core/isa.h"

namespace mtrank {
namespace {

constexpr int kBlock = 64;

/// The random words come first, in a loop of their own that vectorises; the quantile branches.
MTRANK_INLINE void normal_block(const Philox& random, int64_t first, double deviation, float* out, int count) {
  double p[kBlock], x[kBlock];
  for (int l = 0; l < kBlock; ++l) {
    const PhiloxBlock word = random(0, static_cast<uint64_t>(first + l));
    p[l] = uniform_open(word[0], word[1]);
  }
  for (int l = 0; l < count; ++l) x[l] = normal_quantile(p[l]);
  for (int l = 0; l < count; ++l) out[l] = static_cast<float>(deviation * x[l]);
}

MTRANK_INLINE void uniform_block(const Philox& random, int64_t first, double low, double high, float* out, int count) {
  float u[kBlock];
  for (int l = 0; l < kBlock; ++l) u[l] = uniform01(random(0, static_cast<uint64_t>(first + l))[0]);
  for (int l = 0; l < count; ++l) out[l] = static_cast<float>(low + (high - low) * static_cast<double>(u[l]));
}

}  // namespace

void fill_weights(const WeightInit& init, const Philox& random, int64_t begin, int64_t end, float* out) {
  if (init.kind == WeightInit::Kind::zeros || init.kind == WeightInit::Kind::constant) {
    std::fill_n(out, end - begin, init.kind == WeightInit::Kind::zeros ? 0.0f : static_cast<float>(init.a));
    return;
  }
  const bool normal = init.kind == WeightInit::Kind::normal;
  const double a = init.a, b = init.b;
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    for (int64_t i = begin; i < end; i += kBlock) {
      const int count = end - i < kBlock ? static_cast<int>(end - i) : kBlock;
      float* to = out + (i - begin);
      if (normal)
        normal_block(random, i, a, to, count);
      else
        uniform_block(random, i, a, b, to, count);
    }
  });
}

void initialize(ThreadPool& pool, const WeightInit& init, uint64_t seed, std::string_view name, int64_t n, float* out) {
  const Philox random(seed, "init", name);
  constexpr int64_t chunk = 1 << 15;
  pool.run(static_cast<int>((n + chunk - 1) / chunk), [&](int task, int) {
    const int64_t begin = task * chunk, end = std::min(n, begin + chunk);
    fill_weights(init, random, begin, end, out + begin);
  });
}

}  // namespace mtrank
