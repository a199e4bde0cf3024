#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace mtrank {

/// The uncompressed bytes of a file, once, from front to back.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills up to `size` bytes; fewer only at the end, 0 after it.
  /// Throws DataError that names the file, and the byte where compressed data is damaged or cut off.
  virtual size_t read(char* out, size_t size) = 0;
};

/// Opens a plain, gzip (several members allowed) or zstd file, told apart by its first bytes: the name only has to
/// agree, so that a file called .gz which is not gzip is refused. Throws DataError when it cannot be opened.
std::unique_ptr<ByteSource> open_bytes(const std::string& path);

}  // namespace mtrank
