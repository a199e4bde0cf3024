#include "framework/data/first_rows.h"

#include "framework/data/files.h"
#include "framework/data/row_encoder.h"

namespace mtrank {

std::vector<std::vector<std::string>> first_rows(const std::vector<std::string>& files, const ReadOptions& read,
                                                 const FeatureTransforms& transforms, size_t count) {
  const RowEncoder encoder(transforms, RowSpec{}, EncodeFor::scoring);
  std::vector<std::vector<std::string>> rows;
  std::vector<uint32_t> record;
  RawBlock block;
  FieldTable table;
  BadRow bad;
  for (const std::string& path : expand_files(files)) {
    const std::unique_ptr<Reader> reader = open_reader(path, read);
    const std::vector<int> selected = select_columns(path, *reader, encoder.columns());
    while (rows.size() < count && reader->next(block)) {
      reader->parse(block, selected, table);
      size_t next_bad = 0;
      for (size_t r = 0; r < table.rows && rows.size() < count; ++r) {
        if (next_bad < table.bad.size() && table.bad[next_bad].row == r) {
          ++next_bad;
          continue;
        }
        const std::string_view* values = table.values.data() + r * selected.size();
        if (encoder.encode(values, 0, record, bad) != RowEncoder::Result::row) continue;
        rows.emplace_back(values, values + selected.size());
      }
    }
  }
  return rows;
}

}  // namespace mtrank
