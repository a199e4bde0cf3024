#pragma once

#include <cstdlib>
#include <string>

/// Where the tests find what they run. The build knows; on another machine than the build's, the environment does.
namespace mtrank::testing {

inline std::string from_environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value && *value ? value : otherwise;
}
inline std::string source_dir() { return from_environment("MTRANK_SOURCE_DIR", MTRANK_SOURCE_DIR); }
inline std::string mtrank_binary() { return from_environment("MTRANK_BINARY", MTRANK_BINARY); }

}  // namespace mtrank::testing
