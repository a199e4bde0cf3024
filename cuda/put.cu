#include "cuda/put.h"

namespace mtrank::cuda {
namespace {

__global__ void put_kernel(PutBytes from, int words, uint4* to) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < words) to[i] = from.word[i];
}

}  // namespace

void put_words(cudaStream_t stream, const PutBytes& from, int words, uint4* to) {
  launch(put_kernel, dim3(1), dim3(256), stream, from, words, to);
}

}  // namespace mtrank::cuda
