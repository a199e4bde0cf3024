#pragma once

#include <cstdint>
#include <string_view>

namespace mtrank {

/// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), as in RFC 3720. For record framing, not for large files.
uint32_t crc32c(std::string_view bytes);

}  // namespace mtrank
