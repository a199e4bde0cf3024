#include "framework/serving/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <string_view>
#include <vector>

#include "framework/core/error.h"
#include "framework/core/hash.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using testing::HasSubstr;

class BundleTest : public TempDirTest {
 protected:
  Bundle example() const {
    Bundle bundle;
    bundle.graph = R"({"nodes":[]})";
    bundle.input = R"({"columns":["user_id"]})";
    bundle.features = R"([{"name":"user_id","table":"user_id"}])";
    bundle.tasks = R"([{"name":"is_click","loss":"bce"}])";
    bundle.outputs = R"([{"name":"p_click"}])";
    bundle.config = "version: 1\nname: tiny\n";
    bundle.provenance = R"({"version":"0.1.0","seed":1,"data":"00ff","text":"\"checksum_header\":\"no\""})";
    bundle.tensors = {{"table/user_id", DType::f32, {5, 3}, table_.data(), 4}, {"vocab", DType::u8, {3}, "abc"}};
    bundle.golden = {
        {"user_id", "tab"}, {{"7", "\xff\n\",,"}, {"", "x"}}, {"p_click", "p_long"}, {.1f, .2f, .3f, 1e-30f}};
    return bundle;
  }
  std::string save(const Bundle& bundle, const std::string& name = "model") const {
    write_bundle(path(name), bundle);
    return contents(name);
  }
  std::string refusal() const {
    try {
      read_bundle(path("model"));
    } catch (const FileError& e) {
      EXPECT_THAT(e.what(), HasSubstr(path("model")));
      return e.what();
    }
    return "accepted";
  }
  const std::vector<float> table_ = std::vector<float>(20, 2.5f);
};

TEST_F(BundleTest, RoundTrip) {
  const Bundle wrote = example();
  save(wrote);
  const Bundle read = read_bundle(path("model"));
  EXPECT_EQ(read.graph, wrote.graph);
  EXPECT_EQ(read.input, wrote.input);
  EXPECT_EQ(read.features, wrote.features);
  EXPECT_EQ(read.tasks, wrote.tasks);
  EXPECT_EQ(read.outputs, wrote.outputs);
  EXPECT_EQ(read.config, wrote.config);
  EXPECT_EQ(read.provenance, wrote.provenance);
  EXPECT_EQ(read.golden.columns, wrote.golden.columns);
  EXPECT_EQ(read.golden.rows, wrote.golden.rows);
  EXPECT_EQ(read.golden.outputs, wrote.golden.outputs);
  EXPECT_EQ(read.golden.scores, wrote.golden.scores);
  ASSERT_EQ(read.tensors.size(), 2u);
  const TensorSource* table = read.find("table/user_id");
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->shape, (std::vector<int64_t>{5, 3}));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(table->data) % 64, 0u);
  for (int i = 0; i < 15; ++i) EXPECT_EQ(static_cast<const float*>(table->data)[i], 2.5f);
  EXPECT_EQ(read.find("nothing"), nullptr);
}

TEST_F(BundleTest, ReadAndWrittenAgainItIsTheSameFile) {
  const std::string bytes = save(example());
  EXPECT_EQ(save(read_bundle(path("model")), "again"), bytes);
}

TEST_F(BundleTest, NeitherNameNorPlaceIsInIt) {
  const std::string bytes = save(example());
  EXPECT_EQ(save(example(), "other name"), bytes);
  EXPECT_EQ(bytes.find(dir_), std::string::npos);
}

TEST_F(BundleTest, WithoutGoldenRows) {
  Bundle bundle = example();
  bundle.golden = {};
  save(bundle);
  EXPECT_TRUE(read_bundle(path("model")).golden.rows.empty());
}

// One flipped bit anywhere, header, tensor, padding: refused.
TEST_F(BundleTest, EveryDamagedByteIsNoticed) {
  const std::string good = save(example());
  std::mt19937 random(3);
  for (size_t at = 0; at < good.size(); at += 1 + random() % 3) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << random() % 8));
    disk::Output(path("model")).write(bad);
    EXPECT_NE(refusal(), "accepted") << "byte " << at;
  }
}

TEST_F(BundleTest, RefusalsNameTheField) {
  const std::string good = save(example());
  const auto edited = [&](const std::string& from, const std::string& to) {
    std::string bad = good;
    const size_t at = bad.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    disk::Output(path("model")).write(bad.replace(at, from.size(), to));
    return refusal();
  };
  EXPECT_THAT(edited("is_click", "is_clack"), HasSubstr("its header does not match field 'checksum_header'"));
  EXPECT_THAT(edited("min_reader_version\":\"1", "min_reader_version\":\"9"), HasSubstr("needs a reader of version 9"));
  EXPECT_THAT(edited("min_reader_version\":\"1", "min_reader_version\":\"x"), HasSubstr("has min_reader_version 'x'"));
  EXPECT_THAT(edited("\"mtrank\"", "\"tmrank\""), HasSubstr("not a bundle of mtrank"));
  EXPECT_THAT(edited("abc", "abd"), HasSubstr("tensor 'vocab' does not match its checksum"));
  disk::Output(path("model")).write(good.substr(0, good.size() - 1));
  EXPECT_THAT(refusal(), HasSubstr("is cut short"));
  disk::remove(path("model"));
  EXPECT_THAT(refusal(), HasSubstr("No such file"));
}

/// Makes the checksum of a changed header fit again.
void seal(std::string& bytes, size_t header_size) {
  const std::string field = "\"checksum_header\":\"";
  const size_t at = bytes.find(field) + field.size();
  bytes.replace(at, 16, 16, '0');
  bytes.replace(at, 16, hex64(xxh64(std::string_view(bytes).substr(8, header_size))));
}

TEST_F(BundleTest, ATensorThatIsMissingIsNoticedThoughTheHeadersChecksumFits) {
  std::string bytes = save(example());
  const size_t size = SafetensorsReader(path("model")).header().size();
  const size_t at = bytes.find("\"vocab\":{");
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 7, "\"_pad.99\"");  // what padding holds is nobody's
  ASSERT_EQ(bytes.substr(8 + size, 2), "  ") << "the header's end";
  bytes.erase(8 + size, 2);
  seal(bytes, size);
  disk::Output(path("model")).write(bytes);
  EXPECT_THAT(refusal(), HasSubstr("lacks a tensor that field 'checksums' names"));
}

/// Checksums tell damage, not intent.
TEST_F(BundleTest, GoldenRowsThatEndBeforeTheyBeginAreRefusedThoughTheChecksumsFit) {
  std::string bytes = save(example());
  const SafetensorsReader file(path("model"));
  const TensorEntry& entry = *file.find("golden.ends");
  std::vector<int64_t> ends(entry.bytes() / sizeof(int64_t));
  file.read(entry, ends.data());
  ASSERT_GE(ends.size(), 2u);
  const auto put = [&](const std::string& old, const std::string& text) {
    const size_t at = bytes.find(old);
    ASSERT_NE(at, std::string::npos) << old;
    bytes.replace(at, text.size(), text);
  };
  const auto data = [&] { return std::string_view(reinterpret_cast<const char*>(ends.data()), entry.bytes()); };
  const std::string hash = hex64(xxh64(data()));
  ends[0] = ends.back(), ends[1] = 0;
  bytes.replace(8 + file.header().size() + entry.begin, entry.bytes(), data());
  put(hash, hex64(xxh64(data())));
  seal(bytes, file.header().size());
  disk::Output(path("model")).write(bytes);
  EXPECT_THAT(refusal(), HasSubstr("has a golden row that ends outside of tensor 'golden.text'"));
}

TEST_F(BundleTest, FailedOrStoppedWritesLeaveTheOldOne) {
  const std::string good = save(example());
  Bundle other = example();
  other.config = "version: 1\nname: other\n";
  int64_t operations = 0;
  {
    disk::FaultScope count;
    write_bundle(path("elsewhere"), other);
    operations = count.operations();
  }
  for (int64_t at = 0; at + 1 < operations; ++at) {
    for (const int error : {ENOSPC, disk::FaultScope::stop}) {
      disk::FaultScope fault(at, error);
      EXPECT_ANY_THROW(write_bundle(path("model"), other));
      EXPECT_EQ(contents("model"), good) << "operation " << at;
    }
  }
  disk::FaultScope fault;
  fault.set_free_space(100);
  EXPECT_THROW(write_bundle(path("model"), other), ResourceError);
}

TEST_F(BundleTest, RecognisedAndDescribedByContent) {
  save(example(), "renamed.bin");
  EXPECT_TRUE(is_bundle(path("renamed.bin")));
  disk::Output(path("model.safetensors")).write("version: 1");
  EXPECT_FALSE(is_bundle(path("model.safetensors")));
  const std::string text = describe_bundle(path("renamed.bin"));
  EXPECT_THAT(text, HasSubstr("bundle, format version 1\n"));
  EXPECT_THAT(text, HasSubstr("\"loss\": \"bce\""));
  EXPECT_THAT(text, HasSubstr("  name: tiny\n"));
  EXPECT_THAT(text, HasSubstr("golden rows: 2\n"));
  EXPECT_THAT(text, HasSubstr("table/user_id  f32   [5, 3]"));
  Bundle deep = example();
  deep.provenance = std::string(1000000, '[') + std::string(1000000, ']');
  save(deep);
  EXPECT_THROW(describe_bundle(path("model")), FileError);
}

}  // namespace
}  // namespace mtrank
