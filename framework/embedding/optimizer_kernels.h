#pragma once

#include "framework/core/reduce.h"
#include "framework/embedding/optimizer.h"

/// The loops around an optimiser's update. Element-wise, so every instruction set gives the same bits.
namespace mtrank::optimizer_kernels {

/// n consecutive weights. Without kState no slot exists: its value counts as 0 and is forgotten.
template <class O, bool kState, bool kGradient>
MTRANK_INLINE void update_run(typename O::Step s, float* __restrict w, const float* __restrict g, float* __restrict a,
                              float* __restrict b, int64_t n, float scale, float decay) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    float state[kSlots<O>];
    state[0] = kState ? a[i] : 0.0f;
    if constexpr (kSlots < O >> 1) state[1] = kState ? b[i] : 0.0f;
    const float gradient = kGradient ? math::fma(decay, w[i], scale * g[i]) : decay * w[i];
    w[i] = O::update(s, w[i], gradient, state);
    if (kState) a[i] = state[0];
    if constexpr (kState && kSlots < O >> 1) b[i] = state[1];
  }
}

template <class O>
void update_flat(const OptimizerStep& step, const FlatUpdate& u) {
  const auto s = step.as<typename O::Step>();
  const float decay = step.decay;
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    const auto [a, b] = u.slots;
    if (a && u.gradient)
      update_run<O, true, true>(s, u.weights, u.gradient, a, b, u.n, u.scale, decay);
    else if (a)
      update_run<O, true, false>(s, u.weights, nullptr, a, b, u.n, u.scale, decay);
    else if (u.gradient)
      update_run<O, false, true>(s, u.weights, u.gradient, a, b, u.n, u.scale, decay);
    else
      update_run<O, false, false>(s, u.weights, nullptr, a, b, u.n, u.scale, decay);
  });
}

/// Every row has state of its own size: the mean of its squares comes first.
template <class O>
MTRANK_INLINE void update_row_wise(typename O::Step s, const RowsUpdate& u, float decay) {
  for (int64_t r = 0; r < u.count; ++r) {
    float* __restrict w = u.weights + u.rows[r] * u.dim;
    const float* __restrict g = u.gradients[r];
    const float squares = lanes::fold<float>(u.dim, [=](float sum, int64_t i) MTRANK_INLINE_LAMBDA {
      const float x = math::fma(decay, w[i], g[i]);
      return math::fma(x, x, sum);
    });
    float state[1] = {u.slots[0][u.rows[r]]};
    const float factor = O::row(s, squares / static_cast<float>(u.dim), state);
    u.slots[0][u.rows[r]] = state[0];
#pragma GCC ivdep
    for (int64_t i = 0; i < u.dim; ++i) w[i] = O::update(w[i], math::fma(decay, w[i], g[i]), factor);
  }
}

template <class O, bool kState>
MTRANK_INLINE void update_each_row(typename O::Step s, const RowsUpdate& u, float decay) {
  for (int64_t r = 0; r < u.count; ++r) {
    const int64_t at = u.rows[r] * u.dim;
    float* a = kState ? u.slots[0] + at : nullptr;
    float* b = kState && kSlots<O> > 1 ? u.slots[1] + at : nullptr;
    update_run<O, kState, true>(s, u.weights + at, u.gradients[r], a, b, u.dim, 1.0f, decay);
  }
}

template <class O>
void update_rows(const OptimizerStep& step, const RowsUpdate& u) {
  const auto s = step.as<typename O::Step>();
  const float decay = step.decay;
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    if constexpr (RowWise<O>)
      update_row_wise<O>(s, u, decay);
    else if (u.slots[0])
      update_each_row<O, true>(s, u, decay);
    else
      update_each_row<O, false>(s, u, decay);
  });
}

template <class O>
OptimizerStep step(const OptimizerSettings& settings, double lr, int64_t t, double extra_decay) {
  OptimizerStep out = OptimizerStep::of(O::step(settings, lr, t));
  constexpr bool decoupled = requires { O::decoupled_decay; };
  out.decay = static_cast<float>((decoupled ? 0 : settings.weight_decay) + extra_decay);
  return out;
}

template <class O>
constexpr OptimizerInfo info() {
  static_assert(std::size(O::slots) <= kMaxSlots && std::size(O::parameters) <= kMaxOptimizerParameters);
  constexpr bool own_decay = requires { O::own_decay; };
  OptimizerInfo out{O::name, O::summary, O::parameters, O::slots, O::use, !own_decay, step<O>, nullptr, nullptr};
  if constexpr (!RowWise<O>) out.update_flat = update_flat<O>;
  if constexpr (serves(O::use, OptimizerUse::tables)) out.update_rows = update_rows<O>;
  return out;
}

}  // namespace mtrank::optimizer_kernels
