#pragma once

#include <memory>
#include <string>
#include <vector>

#include "framework/data/encoded_set.h"
#include "framework/data/row_encoder.h"
#include "framework/data/scan.h"

namespace mtrank {

/// Encodes the rows of some files with several threads. The result does not depend on their number.
/// Throws DataError for files that cannot be read and for rows the policy does not let pass.
std::shared_ptr<const EncodedSet> encode_files(const std::vector<std::string>& files, const ReadOptions& options,
                                               const RowEncoder& encoder, BadRowPolicy policy, int threads,
                                               EncodedWriter& writer);

/// Encodes what a scan delivers; bad rows go to `bad` (those of the reader among them), in order. The scan's first
/// columns are those of the encoder. `taken`, where not null, lists the rows that were encoded.
void encode_block(const RowEncoder& encoder, const ScanBlock& block, EncodedBlock& out, std::vector<BadRow>& bad,
                  std::vector<uint32_t>* taken = nullptr);

}  // namespace mtrank
