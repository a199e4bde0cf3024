#include "framework/data/convert.h"

#include "framework/core/atomic_directory.h"
#include "framework/data/first_rows.h"
#include "framework/data/mtb_directory.h"
#include "framework/data/raw_parts.h"

namespace mtrank {

void convert(DatasetSpec spec, const ConvertOptions& options, const Dataset::Log& log) {
  AtomicDirectory out(options.out);
  MtbDirectory directory;
  directory.fields = data_fields(spec);
  const RawParts raw(spec, options.threads, log);
  directory.statistics = raw.statistics();
  directory.first_rows = first_rows(spec.parts[0].files, spec.read, spec.transforms, Dataset::kFirstRows);
  for (const Part part : {Part::train, Part::valid, Part::test}) {
    const auto& files = spec.parts[static_cast<size_t>(part)].files;
    if (files.empty()) continue;
    const auto encoder = encoder_of(spec, part);
    MtbWriter writer(out.partial(), part_name(part), encoder->schema(), encoder->layout(), options.shard_bytes);
    if (log) log(std::string(part_name(part)) + ": converting");
    auto& made = directory.parts[static_cast<size_t>(part)].emplace();
    made.summary = raw.write(part, writer)->summary();
    report_rows(spec, part, made.summary, log);
    made.shards = writer.shards();
    for (const auto& file : files) made.sources.push_back(stamp_file(file));
  }
  write_mtb_directory(out.partial(), directory);
  out.commit();
}

}  // namespace mtrank
