#pragma once

#include <optional>
#include <string>

#include "framework/data/statistics.h"

namespace mtrank {

/// Statistics kept in a file of the cache folder. An empty folder: never kept.
class StatisticsCache {
 public:
  StatisticsCache(const std::string& folder, uint64_t key);
  /// Nothing when there is none, or when it is damaged: then `problem` says how.
  std::optional<Statistics> load(std::string* problem) const;
  /// False, with the reason, when it could not be written.
  bool store(const Statistics& statistics, std::string* problem) const;

 private:
  std::string folder_, path_;
  uint64_t key_;
};

}  // namespace mtrank
