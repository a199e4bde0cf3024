#include "framework/data/mtb_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cerrno>
#include <functional>
#include <limits>

#include "framework/core/error.h"
#include "framework/data/convert.h"
#include "framework/data/mtb_directory.h"
#include "tests/data/data_testing.h"

namespace mtrank {
namespace {

using namespace data_testing;
using ::testing::HasSubstr;

std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_bytes(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// What an action threw; "" when nothing.
template <class E>
std::string thrown(const std::function<void()>& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return {};
}

/// A log spec with every part of a row: weights of rows, a sample, conditions, keys, splits.
DatasetSpec full_spec(const std::string& train) {
  DatasetSpec spec = log_spec(train, train);
  spec.parts[2].files = {train};
  for (int part = 0; part < 3; ++part)
    spec.parts[static_cast<size_t>(part)].split = {"row", 5, {part == 0, part == 0, part == 0, part == 1, part == 2}};
  spec.rows.weight_column = "price";
  spec.rows.sample = SampleSpec{{"click == 0", {{0, Comparison::equal, 0}}}, 0.7, SampleSpec::Correct::logit};
  spec.rows.seed = 5;
  return spec;
}

class MtbTest : public ::testing::Test {
 protected:
  Dataset converted(DatasetSpec spec) {
    spec.mtb = out_;
    log_.clear();
    return Dataset(spec, 2, [this](const std::string& line) { log_.push_back(line); });
  }
  std::string shard(const std::string& name = "train-00000.mtb") const { return out_ + "/" + name; }

  TempDir folder_;
  std::string train_ = folder_.write("train.csv", log_text(3000, 1));
  std::string out_ = folder_.path("converted");
  std::vector<std::string> log_;
};

TEST_F(MtbTest, GivesTheBitsOfTheRawFiles) {
  for (const bool full : {false, true}) {
    const DatasetSpec spec = full ? full_spec(train_) : log_spec(train_, train_);
    const Dataset raw(spec, 2);
    for (const int threads : {1, 3}) {
      std::filesystem::remove_all(out_);
      convert(spec, {.out = out_, .threads = threads, .shard_bytes = full ? 20000 : MtbWriter::kShardBytes});
      const Dataset mtb = converted(spec);
      EXPECT_TRUE(log_.empty()) << ::testing::PrintToString(log_);
      for (const Part part : {Part::train, Part::valid})
        EXPECT_EQ(mtb.fingerprint(part), raw.fingerprint(part)) << part_name(part);
      EXPECT_EQ(transforms_to_json(mtb.transforms()), transforms_to_json(raw.transforms()));
      EXPECT_EQ(mtb.first_rows(8), raw.first_rows(8));
      EXPECT_EQ(mtb.size(Part::train).bytes, raw.size(Part::train).bytes);
      EXPECT_FALSE(mtb.size(Part::train).in_memory);
      const auto total = static_cast<uint64_t>(raw.size(Part::train).bytes);
      for (const uint64_t memory : {uint64_t{1} << 30, total / 4, uint64_t{1}}) {
        const StreamOptions options{.batch_size = 77, .shuffle = true, .seed = 3, .memory = memory};
        auto parallel = options;
        parallel.threads = threads;
        EXPECT_EQ(rows_of(*mtb.train(parallel), 3), rows_of(*raw.train(options), 3)) << memory;
      }
      for (const Part part : {Part::train, Part::valid, Part::test}) {
        ASSERT_EQ(mtb.has(part), raw.has(part));
        if (!raw.has(part)) continue;
        EXPECT_EQ(rows_of(*mtb.eval(part, 33)), rows_of(*raw.eval(part, 33)));
        EXPECT_EQ(mtb.summary(part).rows, raw.summary(part).rows);
        EXPECT_EQ(mtb.summary(part).conditions, raw.summary(part).conditions);
        for (size_t i = 0; i < 2; ++i)
          EXPECT_EQ(mtb.summary(part).labels[i].positives, raw.summary(part).labels[i].positives);
      }
      EXPECT_EQ(mtb.train({})->key_value(1, xxh64("g,2")), "g,2");
    }
  }
}

TEST_F(MtbTest, AManifestNestedTooDeepIsRefused) {
  std::filesystem::create_directory(out_);
  write_bytes(out_ + "/manifest.json", R"({"kind":"mtrank converted data","version":1,"hash":"0000000000000000","x":)" +
                                           std::string(1000000, '[') + std::string(1000000, ']') + "}");
  EXPECT_THAT(thrown<FileError>([&] { read_mtb_directory(out_); }),
              HasSubstr("is not the manifest of a converted directory"));
}

TEST_F(MtbTest, GoesToAnySample) {
  const DatasetSpec spec = log_spec(train_, "");
  convert(spec, {.out = out_});
  const Dataset raw(spec, 1), mtb = converted(spec);
  for (const int64_t at : {0, 1, 1000, 2999, 3000}) {
    const StreamOptions options{.batch_size = 128, .shuffle = true, .seed = 3, .memory = 20000};
    auto a = raw.train(options), b = mtb.train(options);
    a->seek(2, at), b->seek(2, at);
    Batch x, y;
    ASSERT_EQ(a->next(x), b->next(y));
    EXPECT_EQ(x.first_sample, y.first_sample);
    EXPECT_EQ(x.dense, y.dense);
    EXPECT_EQ(x.keys, y.keys);
  }
}

TEST_F(MtbTest, TakesWhatTheCacheHas) {
  DatasetSpec spec = full_spec(train_);
  spec.cache_folder = folder_.path("cache");
  const Dataset raw(spec, 2);
  std::vector<std::string> log;
  convert(spec, {.out = out_}, [&](const std::string& line) { log.push_back(line); });
  EXPECT_THAT(log, ::testing::ElementsAre("train: converting", "valid: converting", "test: converting"));
  const StreamOptions options{.batch_size = 128, .shuffle = true, .seed = 3};
  EXPECT_EQ(rows_of(*converted(spec).train(options)), rows_of(*raw.train(options)));
}

TEST_F(MtbTest, TrainsWhereTheRawFilesAreGoneAndTellsWhenTheyChanged) {
  const DatasetSpec spec = log_spec(train_, "");
  convert(spec, {.out = out_});
  const auto rows = rows_of(*converted(spec).train({}));
  EXPECT_TRUE(log_.empty());
  folder_.write("train.csv", log_text(10, 2));
  EXPECT_EQ(rows_of(*converted(spec).train({})), rows);
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_THAT(log_[0], HasSubstr("train.csv has changed since "));
  std::filesystem::remove(train_);
  EXPECT_EQ(rows_of(*converted(spec).train({})), rows);
  EXPECT_TRUE(log_.empty());
}

TEST_F(MtbTest, AnotherConfigIsRefusedNamingTheField) {
  const DatasetSpec spec = full_spec(train_);
  convert(spec, {.out = out_});
  const auto problem = [&](const std::function<void(DatasetSpec&)>& change) {
    DatasetSpec other = full_spec(train_);
    change(other);
    return thrown<DataError>([&] { converted(other); });
  };
  EXPECT_EQ(problem([](DatasetSpec&) {}), "");
  EXPECT_THAT(problem([](DatasetSpec& s) { s.transforms.features[1].max_len = 9; }),
              HasSubstr("converted with another config: features.items.max_len: 4, now 9. Convert again"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.transforms.features[3].steps.clear(); }),
              HasSubstr("features.price.transform, normalize or clip: [{"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.transforms.features[1].keep_last ^= 1; }),
              HasSubstr("features.items.keep: "));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.transforms.features[1].drop_unseen ^= 1; }),
              HasSubstr("features.items.unseen: "));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.transforms.tables[2].rows = 7; }),
              HasSubstr("tables.group.rows: 1000, now 7"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.transforms.tables[1].min_count = 1; }),
              HasSubstr("tables.item.min_count"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.transforms.features.pop_back(); }),
              HasSubstr("features.n: there, now gone"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.transforms.features.push_back(id_feature("new", 0)); }),
              HasSubstr("features.new: not there, now {"));
  EXPECT_THAT(problem([](DatasetSpec& s) { std::swap(s.transforms.features[0], s.transforms.features[2]); }),
              HasSubstr("features.user: its place changed"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.rows.labels[1].positive = {"1"}; }), HasSubstr("labels.buy.positive"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.rows.keys.pop_back(); }),
              HasSubstr("eval: column group: there, now gone"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.rows.conditions.clear(); }), HasSubstr("only_when: click == 1"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.rows.weight_column.clear(); }), HasSubstr("data.weight"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.rows.sample->keep = 0.5; }), HasSubstr("data.sample.keep: 0.7, now 0.5"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.rows.seed = 6; }), HasSubstr("another config: seed: 5, now 6"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.parts[1].split.take[0] = 1; }),
              HasSubstr("data.split.valid: [3], now [0,3]"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.read.trim = true; }), HasSubstr("data.trim: false, now true"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.transforms.missing.push_back("?"); }), HasSubstr("data.missing"));
  EXPECT_THAT(problem([](DatasetSpec& s) { s.skip_bad_rows = true; }), HasSubstr("data.on_bad_row"));
  // Another split would be named first.
  std::filesystem::remove_all(out_);
  convert(log_spec(train_, ""), {.out = out_});
  EXPECT_THAT(thrown<DataError>([&] { converted(log_spec(train_, train_)); }),
              HasSubstr("has no valid rows, but the config has a data.valid"));
}

/// Bytes of every file: refused, or without meaning (the gaps between columns).
TEST_F(MtbTest, ADamagedFileIsRefused) {
  const auto small = folder_.write("small.csv", log_text(9, 1));
  DatasetSpec spec = log_spec(small, "");
  spec.read.block_bytes = 300;
  convert(spec, {.out = out_});
  const auto read = [&] { return rows_of(*converted(spec).train({.batch_size = 7})); };
  const auto expected = read();
  for (const auto& entry : std::filesystem::directory_iterator(out_)) {
    const std::string path = entry.path(), whole = read_bytes(path);
    int harmless = 0;
    for (size_t i = 0; i < whole.size(); i += 1 + whole.size() / 250) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
      write_bytes(path, bytes);
      try {
        EXPECT_EQ(read(), expected) << path << " byte " << i;
        ++harmless;
        EXPECT_EQ(whole[i], '\0') << path << " byte " << i;
      } catch (const FileError& error) {
        EXPECT_THAT(error.what(), HasSubstr(out_)) << i;
      }
    }
    EXPECT_TRUE(harmless == 0 || path.find(".mtb") != std::string::npos) << path;
    for (size_t size = 0; size < whole.size(); size += 1 + whole.size() / 97) {
      write_bytes(path, whole.substr(0, size));
      EXPECT_THROW(read(), FileError) << path << " cut to " << size;
    }
    write_bytes(path, whole + "x");
    EXPECT_THROW(read(), FileError) << path;
    write_bytes(path, whole);
  }
  EXPECT_EQ(read(), expected);
}

TEST_F(MtbTest, DamageNamesTheColumn) {
  const DatasetSpec spec = log_spec(train_, "");
  convert(spec, {.out = out_});
  const MtbShard file(shard());
  const MtbShard::Block block = file.blocks()[2];
  std::string bytes = read_bytes(shard());
  std::vector<MtbEntry> entries(file.columns().size());
  std::memcpy(entries.data(), bytes.data() + block.offset, sizeof(MtbEntry) * entries.size());
  size_t at = block.offset + (sizeof(MtbEntry) * entries.size() + 63) / 64 * 64;
  for (size_t c = 0; c < entries.size(); ++c) {
    std::string damaged = bytes;
    if (entries[c].bytes > 0) damaged[at] = static_cast<char>(damaged[at] ^ 4);
    if (entries[c].bytes == 0) damaged[block.offset + sizeof(MtbEntry) * c + 8] ^= 1;
    at += (entries[c].bytes + 63) / 64 * 64;
    write_bytes(shard(), damaged);
    const Dataset set = converted(spec);
    const std::string message = thrown<FileError>([&] { rows_of(*set.train({})); });
    EXPECT_EQ(thrown<FileError>([&] { set.verify(2); }), message);
    EXPECT_THAT(message, HasSubstr("train-00000.mtb: block 2: " + file.columns()[c].title() +
                                   " is damaged (its checksum differs); convert again"));
  }
}

TEST_F(MtbTest, AFileCutShortWhileItIsReadIsAnError) {
  const DatasetSpec spec = log_spec(train_, "");
  convert(spec, {.out = out_});
  const Dataset set = converted(spec);
  auto source = set.train({.batch_size = 10, .shuffle = false, .seed = 0, .memory = 1});
  Batch batch;
  ASSERT_TRUE(source->next(batch));
  std::filesystem::resize_file(shard(), 5000);
  EXPECT_THROW(while (source->next(batch)){}, FileError);
}

TEST_F(MtbTest, AShardOfAnotherConversionIsRefused) {
  const DatasetSpec spec = log_spec(train_, "");
  convert(spec, {.out = out_});
  convert(log_spec(folder_.write("other.csv", log_text(3000, 2)), ""), {.out = folder_.path("other")});
  std::filesystem::copy_file(folder_.path("other") + "/train-00000.mtb", shard(),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(thrown<FileError>([&] { converted(spec); }),
              HasSubstr("is not the file that was written with the others"));
  std::filesystem::remove(shard());
  EXPECT_THAT(thrown<FileError>([&] { converted(spec); }),
              HasSubstr("train-00000.mtb: is missing; convert again, or bring it from where the others are from"));
  EXPECT_THAT(thrown<FileError>([&] {
                out_ = folder_.path();
                converted(spec);
              }),
              HasSubstr("holds no converted data"));
}

/// Whatever fails, and whenever the process dies: the directory is whole or not there.
TEST_F(MtbTest, NothingHalfWrittenIsLeft) {
  const auto small = folder_.write("small.csv", log_text(60, 1));
  const DatasetSpec spec = log_spec(small, small);
  const auto run = [&] { convert(spec, {.out = out_, .threads = 1, .shard_bytes = 3000}); };
  int64_t operations = 0;
  {
    const disk::FaultScope count;
    run();
    operations = count.operations();
  }
  const auto expected = rows_of(*converted(spec).train({}));
  EXPECT_GT(operations, 15);
  for (int64_t i = 0; i < operations; ++i)
    for (const int error : {ENOSPC, disk::FaultScope::stop}) {
      std::filesystem::remove_all(out_);
      {
        const disk::FaultScope fault(i, error);
        if (error == ENOSPC)
          EXPECT_THROW(run(), ResourceError) << i;
        else
          EXPECT_THROW(run(), disk::Stopped) << i;
      }
      const bool there = std::filesystem::exists(out_);
      EXPECT_TRUE(!there || rows_of(*converted(spec).train({})) == expected) << i;
      for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
        const std::string path = entry.path();
        if (error == ENOSPC && path.find(".partial-") != std::string::npos) ADD_FAILURE() << path << " " << i;
        if (path.find(".partial-") != std::string::npos) std::filesystem::remove_all(path);
      }
    }
  std::filesystem::remove_all(out_);
  run();
  EXPECT_THAT(thrown<ConfigError>(run), HasSubstr("is not empty; choose another directory"));
}

TEST_F(MtbTest, BadDataLeavesNothing) {
  const auto bad = folder_.write("bad.csv", log_text(30, 1) + "1,2\n");
  EXPECT_THROW(convert(log_spec(bad, ""), {.out = out_}), DataError);
  EXPECT_FALSE(std::filesystem::exists(out_));
  const auto empty = folder_.write("empty.csv", log_text(0, 1));
  EXPECT_THAT(thrown<DataError>([&] { convert(log_spec(train_, empty), {.out = out_}); }),
              HasSubstr("valid: no rows in"));
  EXPECT_FALSE(std::filesystem::exists(out_));
}

/// Rows of a schema with the largest values that fit.
struct Edges {
  explicit Edges(int64_t table_rows, int max_len, bool weighted) {
    schema.tables = {{"t", IdKind::integer, table_rows}};
    schema.features = {{"one", "one", FeatureKind::id, "t", 0, 1, false, 0},
                       {"list", "list", FeatureKind::ids, "t", 1, max_len, weighted, 0},
                       {"numbers", "numbers", FeatureKind::dense, "", 0, 1, false, 3}};
    schema.labels = {{"click", true, false}, {"spend", false, false}};
    schema.conditions = {"a", "b"};
    schema.keys = {"user"};
    layout = RecordLayout(schema, true);
  }

  /// `length` of each row's list.
  EncodedBlock block(const std::vector<uint32_t>& lengths) const {
    EncodedBlock out;
    std::mt19937 random(1);
    const auto largest = static_cast<uint32_t>(schema.tables[0].rows - 1);
    const auto word = [](float x) { return std::bit_cast<uint32_t>(x); };
    for (size_t r = 0; r < lengths.size(); ++r) {
      out.starts.push_back(static_cast<uint32_t>(out.words.size()));
      const float labels[] = {0, 1, std::numeric_limits<float>::quiet_NaN()};
      const std::vector<uint32_t> fixed = {r == 1 ? largest : static_cast<uint32_t>(random() % (largest + 1)),
                                           lengths[r],
                                           word(-0.0f),
                                           word(1e-42f),
                                           static_cast<uint32_t>(random()),
                                           word(labels[r % 3]),
                                           word(labels[(r + 1) % 3] * 1.5f),
                                           word(0.25f),
                                           static_cast<uint32_t>(r % 8),
                                           static_cast<uint32_t>(random()),
                                           static_cast<uint32_t>(random())};
      EXPECT_EQ(fixed.size(), static_cast<size_t>(layout.fixed));
      out.words.insert(out.words.end(), fixed.begin(), fixed.end());
      for (uint32_t i = 0; i < lengths[r]; ++i) out.words.push_back(i == 0 ? largest : random() % (largest + 1));
      if (schema.features[1].weighted)
        for (uint32_t i = 0; i < lengths[r]; ++i) out.words.push_back(word(static_cast<float>(i) - 0.5f));
    }
    return out;
  }

  InputSchema schema;
  RecordLayout layout;
};

TEST(MtbCodecTest, TheSmallestTypeThatFits) {
  const auto types = [](int64_t rows, int max_len) {
    const Edges edges(rows, max_len, true);
    const auto columns = mtb_columns(edges.schema, edges.layout);
    return std::string(mtb_type_name(columns[0].type)) + " " + mtb_type_name(columns[1].type) + " " +
           mtb_type_name(columns[2].type) + " " + mtb_type_name(columns[3].type);
  };
  EXPECT_EQ(types(1, 0), "u8 u8 u8 f32");
  EXPECT_EQ(types(256, 255), "u8 u8 u8 f32");
  EXPECT_EQ(types(257, 256), "u16 u16 u16 f32");
  EXPECT_EQ(types(65536, 65535), "u16 u16 u16 f32");
  EXPECT_EQ(types(65537, 65536), "u32 u32 u32 f32");
  EXPECT_EQ(types(INT32_MAX, 1 << 20), "u32 u32 u32 f32");
}

TEST(MtbCodecTest, EveryTypeAndLengthComesBack) {
  for (const int64_t rows :
       {int64_t{1}, int64_t{256}, int64_t{257}, int64_t{65536}, int64_t{65537}, int64_t{INT32_MAX}})
    for (const bool weighted : {false, true})
      for (const auto& lengths : std::vector<std::vector<uint32_t>>{{},
                                                                    {0},
                                                                    {300},
                                                                    {0, 0, 0},
                                                                    {3, 3, 3, 3, 3},
                                                                    {0, 255, 256, 1, 0},
                                                                    std::vector<uint32_t>(100, 2),
                                                                    std::vector<uint32_t>(65, 0)}) {
        const Edges edges(rows, 300, weighted);
        const MtbCodec codec(edges.schema, edges.layout);
        const EncodedBlock block = edges.block(lengths);
        std::vector<char> bytes;
        codec.encode(block, bytes);
        EXPECT_EQ(bytes.size() % kMtbAlignment, 0u);
        EncodedBlock back;
        codec.decode({bytes.data(), bytes.size()}, block.rows(), "here", 7, back);
        EXPECT_EQ(back.words, block.words);
        EXPECT_EQ(back.starts, block.starts);
      }
}

/// With right checksums, so that the bounds themselves are tried.
TEST(MtbCodecTest, ValuesOutOfBoundsAreRefused) {
  const Edges edges(1000, 4, false), more(1001, 5, false);
  const MtbCodec codec(edges.schema, edges.layout), loose(more.schema, more.layout);
  const auto message = [&](const EncodedBlock& block) {
    std::vector<char> bytes;
    loose.encode(block, bytes);
    EncodedBlock out;
    return thrown<FileError>([&] { codec.decode({bytes.data(), bytes.size()}, block.rows(), "here", 7, out); });
  };
  EncodedBlock block = edges.block({4, 0, 2});
  EXPECT_EQ(message(block), "");
  block.words[block.starts[1]] = 1000;
  EXPECT_EQ(message(block), "here: block 7: feature 'one' holds 1000, expected less than 1000; convert again");
  block = edges.block({4, 0, 5});
  EXPECT_EQ(message(block), "here: block 7: feature 'list' (lengths) holds 5, expected less than 5; convert again");
  block = more.block({1, 0, 2});
  block.words[block.starts[1]] = 0;
  EXPECT_EQ(message(block), "here: block 7: feature 'list' (ids) holds 1000, expected less than 1000; convert again");

  std::vector<char> bytes;
  codec.encode(edges.block({4, 0, 2}), bytes);
  EncodedBlock out;
  EXPECT_THAT(thrown<FileError>([&] {
                codec.decode({bytes.data(), bytes.size()}, 4, "here", 7, out);
              }),
              HasSubstr("here: block 7: feature 'one' has 6 bytes, expected 8"));
  EXPECT_THAT(thrown<FileError>([&] { codec.decode({bytes.data(), 64}, 3, "here", 7, out); }), HasSubstr("cut off"));
}

}  // namespace
}  // namespace mtrank
