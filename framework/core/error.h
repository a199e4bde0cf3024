#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace mtrank {

/// What the process exits with. The numbers are part of the command line's contract.
enum class ExitCode : int {
  ok = 0,
  bug = 1,
  config = 2,  ///< config or usage
  data = 3,
  file = 4,       ///< bundle or checkpoint
  resource = 5,   ///< memory, disk, device
  nonfinite = 6,  ///< loss or gradient not finite
  in_use = 7,     ///< run directory in use
  peer = 8,       ///< another process of the job failed
  interrupted = 130,
  terminated = 143,
};

/// Base of everything the user, the data or the device can cause. `what()` is the whole message, in the user's words:
/// the thing, what was found, what was expected, the fix.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

#define MTRANK_ERROR_TYPE(Name, exit_code)                                             \
  class Name : public Error {                                                          \
   public:                                                                             \
    explicit Name(const std::string& message) : Error(ExitCode::exit_code, message) {} \
  }
MTRANK_ERROR_TYPE(ConfigError, config);
MTRANK_ERROR_TYPE(DataError, data);
MTRANK_ERROR_TYPE(FileError, file);
MTRANK_ERROR_TYPE(ResourceError, resource);
MTRANK_ERROR_TYPE(NonFiniteError, nonfinite);
MTRANK_ERROR_TYPE(InUseError, in_use);
/// Shapes that do not fit, found while a graph is built; the config layer turns it into a located error.
MTRANK_ERROR_TYPE(ShapeError, config);
#undef MTRANK_ERROR_TYPE

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

/// A failed assertion is our bug, never the user's.
#define MTRANK_ASSERT(expression) ((expression) ? void(0) : ::mtrank::assertion_failed(#expression, __FILE__, __LINE__))

}  // namespace mtrank
