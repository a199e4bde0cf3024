#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "framework/data/encoded_set.h"

namespace mtrank {

/// How the values of a column are stored, little-endian.
enum class MtbType : uint8_t { u8, u16, u32, u64, f32 };
size_t mtb_size(MtbType type);
const char* mtb_type_name(MtbType type);

/// One column of a `.mtb` file. A list is two or three: its lengths, its ids, their weights.
struct MtbColumn {
  enum class Kind : uint8_t {
    id,       ///< the smallest type that holds every row of the table
    lengths,  ///< of a list
    ids,      ///< of all lists of a block, end to end
    weights,  ///< one for each of `ids`
    dense,    ///< [rows, width]
    label,    ///< f32, NaN = missing; binary: u8, 2 = missing
    weight,   ///< of the row
    flags,    ///< bit 0: the row met the condition of the sample; bit 1 + i: condition i
    key,      ///< hash of the value
  };
  std::string name;  ///< of the feature, label or key column; "weight", "flags"
  Kind kind = Kind::id;
  MtbType type = MtbType::u32;
  int width = 1;       ///< values a row, but for ids and weights
  int word = 0;        ///< where it begins in a record; ids and weights: the word of their length
  uint64_t limit = 0;  ///< id, ids, lengths, label: every value is below it; 0: any is fine

  bool per_row() const { return kind != Kind::ids && kind != Kind::weights; }
  /// Whether a block whose values are all the same stores just that value.
  bool may_be_constant() const { return per_row() && width == 1 && type != MtbType::f32; }
  /// "feature 'watched' (ids)", as errors call it.
  std::string title() const;
};

/// The columns of rows of a schema, in the order of the file.
std::vector<MtbColumn> mtb_columns(const InputSchema& schema, const RecordLayout& layout);

/// A block of a file: a table with an entry a column, then the columns, each at a multiple of 64 bytes.
struct MtbEntry {
  uint64_t bytes;  ///< 0 in a block with rows: every row has `value`
  uint64_t value;
  uint64_t hash;  ///< xxh64 of the bytes, or of `value`
};
constexpr size_t kMtbAlignment = 64;
constexpr size_t mtb_aligned(size_t size) { return (size + kMtbAlignment - 1) / kMtbAlignment * kMtbAlignment; }

/// Rows to and from the bytes of a block. Immutable.
class MtbCodec {
 public:
  MtbCodec(const InputSchema& schema, const RecordLayout& layout);

  const std::vector<MtbColumn>& columns() const { return columns_; }

  /// Fills `out` with the bytes of a block.
  void encode(const EncodedBlock& block, std::vector<char>& out) const;
  /// The other way round. Checks every size, hash and bound before it uses it. Throws FileError naming the file, the
  /// number of the block and the column. Allocates nothing that an earlier block on this thread had room for.
  void decode(std::string_view bytes, uint32_t rows, const std::string& path, size_t block, EncodedBlock& out) const;

 private:
  RecordLayout layout_;
  std::vector<MtbColumn> columns_;
};

}  // namespace mtrank
