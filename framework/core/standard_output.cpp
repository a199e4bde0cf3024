#include "framework/core/standard_output.h"

#include <atomic>
#include <cerrno>

namespace mtrank {
namespace {

std::atomic<int> first_error{0};

}  // namespace

// A full buffer is written before it is flushed: then the stream has failed although flushing it does not.
void flush_output(std::FILE* out) {
  if (std::fflush(out) != 0 || std::ferror(out)) note_output_error(errno != 0 ? errno : EIO);
}

int first_output_error() { return first_error; }

void note_output_error(int error) {
  int none = 0;
  first_error.compare_exchange_strong(none, error);
}

}  // namespace mtrank
