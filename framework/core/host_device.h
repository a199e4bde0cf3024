#pragma once

#include "framework/core/isa.h"

/// On a function that device code may call as well.
#if defined(__CUDACC__)
#define MTRANK_HD __host__ __device__ __forceinline__
#else
#define MTRANK_HD MTRANK_INLINE
#endif
