#pragma once

#include <cstdio>

namespace mtrank {

/// Flushes a stream. One that fails stays failed, but forgets why: the reason of the first failure is kept here.
void flush_output(std::FILE* out);
/// An errno: of the first write that failed, as far as `flush_output` met it or `note_output_error` was told; or 0.
int first_output_error();
void note_output_error(int error);

}  // namespace mtrank
