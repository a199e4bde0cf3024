#include "framework/data/statistics_cache.h"

#include "framework/core/atomic_file.h"
#include "framework/core/error.h"
#include "framework/core/fs.h"
#include "framework/core/hash.h"
#include "framework/data/byte_stream.h"
#include "framework/data/cache_folder.h"

namespace mtrank {
namespace {

constexpr uint64_t kMagic = 0x313054415452544du;  // "MTRTAT01"
constexpr uint64_t kMostBytes = uint64_t{64} << 30;

}  // namespace

StatisticsCache::StatisticsCache(const std::string& folder, uint64_t key)
    : folder_(folder), path_(folder + "/statistics-" + hex64(key)), key_(key) {}

std::optional<Statistics> StatisticsCache::load(std::string* problem) const {
  if (folder_.empty() || !disk::is_file(path_)) return {};
  try {
    const std::string bytes = disk::read_all(path_, kMostBytes);
    ByteParser in(bytes, path_);
    if (in.get<uint64_t>() != kMagic || in.get<uint64_t>() != key_) throw FileError(path_ + ": is not what it says");
    const auto hash = in.get<uint64_t>();
    const std::string body = in.get_text();
    if (xxh64(body) != hash) throw FileError(path_ + ": is damaged");
    touch_cache_file(path_);
    return statistics_from_bytes(body, path_);
  } catch (const Error& error) {
    *problem = error.what();
    return {};
  }
}

bool StatisticsCache::store(const Statistics& statistics, std::string* problem) const {
  if (folder_.empty()) return true;
  try {
    open_cache_folder(folder_);
    const std::string body = statistics_to_bytes(statistics);
    ByteWriter out;
    out.put(kMagic);
    out.put(key_);
    out.put(xxh64(body));
    out.put_text(body);
    write_file_atomically(path_, out.bytes());
    return true;
  } catch (const ResourceError& error) {
    *problem = error.what();
    return false;
  }
}

}  // namespace mtrank
