#include "framework/embedding/buffer.h"

#include <sys/mman.h>

#include <string>

#include "framework/core/error.h"

namespace mtrank {
namespace {

constexpr size_t kPage = 4096, kHuge = size_t{2} << 20;
// Nothing is set aside for pages that may never be written: jobs are checked against the memory there is beforehand.
constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

/// `bytes` that begin on a huge page's boundary: map one more and give back both ends.
void* map_huge(size_t bytes) {
  char* base = static_cast<char*>(mmap(nullptr, bytes + kHuge, PROT_READ | PROT_WRITE, kFlags, -1, 0));
  if (base == MAP_FAILED) return MAP_FAILED;
  const size_t skip = (kHuge - reinterpret_cast<uintptr_t>(base) % kHuge) % kHuge;
  if (skip) munmap(base, skip);
  munmap(base + skip + bytes, kHuge - skip);
  madvise(base + skip, bytes, MADV_HUGEPAGE);  // only a wish
  return base + skip;
}

}  // namespace

FloatBuffer::FloatBuffer(int64_t n, std::string_view what) : size_(n) {
  if (n == 0) return;
  bytes_ = (static_cast<size_t>(n) * sizeof(float) + kPage - 1) / kPage * kPage;
  data_ = bytes_ >= 2 * kHuge ? map_huge(bytes_) : mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (data_ != MAP_FAILED) return;
  data_ = nullptr;
  throw ResourceError(std::string(what) + " needs " + std::to_string(bytes_ >> 20) +
                      " MiB of memory, which the system refuses; use fewer rows, a smaller dim, or an optimizer with "
                      "less state");
}

FloatBuffer::~FloatBuffer() {
  if (data_) munmap(data_, bytes_);
}

FloatBuffer& FloatBuffer::operator=(FloatBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace mtrank
