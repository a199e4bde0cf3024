#pragma once

#include "framework/ops/ops.h"

/// copy: y = x, both [B, C]. Emitted where a value must stand in two concats, and where a gradient must be added to
/// another. Deterministic.
/// zero: y = 0. Emitted where part of a gradient is written by nobody.
