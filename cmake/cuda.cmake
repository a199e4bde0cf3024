# mtrank_cuda, the CUDA device: asked for and missing is an error that names the package.
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR "MTRANK_CUDA=ON needs nvcc, which was not found. Install cuda-nvcc-13-0 and cuda-libraries-dev-13-0, "
                      "set CMAKE_CUDA_COMPILER, or configure with -DMTRANK_CUDA=OFF")
endif()
set(CMAKE_CUDA_ARCHITECTURES 80 90 CACHE STRING "GPU architectures to build for")
enable_language(CUDA)
# CMake 3.25 (Debian 12) does not know that nvcc takes C++20.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_FLAGS_RELEASE -O3)
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
find_package(CUDAToolkit REQUIRED)

# Where the library is on a machine that only runs the programs: beside them, or in the toolkit's usual place.
if(MTRANK_PORTABLE)
  set(CMAKE_BUILD_RPATH "$ORIGIN" /usr/local/cuda/lib64)
endif()

file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS cuda/*.cu)
add_library(mtrank_cuda OBJECT ${cuda_sources})
target_link_libraries(mtrank_cuda PUBLIC mtrank_core CUDA::cudart_static CUDA::cublasLt CUDA::nvtx3)
# No contraction: a fused multiply-add happens only where the code says so, as on the CPU.
string(REPLACE ";" "," host_options "${host_options}")
target_compile_options(mtrank_cuda PRIVATE
  --fmad=false -lineinfo --expt-relaxed-constexpr --extended-lambda -Werror=all-warnings -Xcompiler=${host_options})
set_target_properties(mtrank_cuda PROPERTIES CUDA_SEPARABLE_COMPILATION OFF)
