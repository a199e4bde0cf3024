#pragma once

#include <memory>

#include "framework/embedding/accelerator.h"
#include "framework/train/train_device.h"

namespace mtrank {

/// What the accelerator is asked for: `mtrank plan` and `mtrank bench` want to know as well.
AcceleratorJob accelerator_job(const TrainJob& job);

/// A TrainDevice on top of an Accelerator.
std::unique_ptr<TrainDevice> open_accelerated_device(const TrainJob& job);

}  // namespace mtrank
