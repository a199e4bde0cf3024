#pragma once

#include <cstdint>

#include "framework/config/config.h"

namespace mtrank {

/// What learning rates are multiplied by in the update number `step`, which counts from 1, of a run of `total_steps`.
///     warm-up        step / warmup_steps, while step < warmup_steps
///     constant       1
///     step           factor ^ floor((step - 1) / every)
///     linear         from 1 at the end of the warm-up to `floor` at decay_steps (default: the run's end), then `floor`
///     cosine         the same way, along half a cosine (Loshchilov & Hutter, ICLR 2017)
/// Built from + - * / alone: the same bits on every machine.
double schedule_factor(const Schedule& schedule, int64_t step, int64_t total_steps);

}  // namespace mtrank
