#include "framework/core/error.h"

namespace mtrank {

void assertion_failed(const char* expression, const char* file, int line) {
  throw std::logic_error(std::string("internal error: ") + expression + " does not hold at " + file + ":" +
                         std::to_string(line));
}

}  // namespace mtrank
