#pragma once

/// On a function that device code may call as well. Empty where no CUDA compiler reads the header.
#if defined(__CUDACC__)
#define MTRANK_HD __host__ __device__
#else
#define MTRANK_HD
#endif
