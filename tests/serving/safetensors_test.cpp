#include "framework/serving/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>

#include "framework/core/atomic_file.h"
#include "framework/core/error.h"
#include "tests/support/temp_dir.h"

namespace mtrank {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SafetensorsTest : public TempDirTest {
 protected:
  std::string write(const std::vector<TensorSource>& tensors, const Metadata& metadata = {}) {
    std::string bytes = safetensors_header(tensors, metadata);
    write_tensors(tensors, [&](const void* data, size_t size) { bytes.append(static_cast<const char*>(data), size); });
    return save(bytes);
  }
  std::string save(const std::string& bytes) {
    disk::Output(path("file")).write(bytes);
    return bytes;
  }
  /// A file with this header, padded, and `data` bytes after it.
  void save_header(const std::string& header, size_t data = 0) {
    const uint64_t size = header.size();
    save(std::string(reinterpret_cast<const char*>(&size), 8) + header + std::string(data, 'x'));
  }
  std::string refusal() {
    try {
      SafetensorsReader reader(path("file"));
    } catch (const FileError& e) {
      EXPECT_THAT(e.what(), HasSubstr(path("file")));
      return e.what();
    }
    return "accepted";
  }
};

std::vector<float> numbers(size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 0.5f);
  return values;
}

TEST_F(SafetensorsTest, RoundTrip) {
  const std::vector<float> weights = numbers(15);
  const int64_t step = 42;
  const std::string names = "user_id";
  write({{"w", DType::f32, {3, 5}, weights.data()},
         {"empty", DType::f64, {0, 4}, nullptr},
         {"step", DType::i64, {}, &step},
         {"names", DType::u8, {7}, names.data()}},
        {{"task", "clicks \"quoted\" \n é"}, {"a", ""}});
  const SafetensorsReader reader(path("file"));
  EXPECT_EQ(reader.metadata().at("task"), "clicks \"quoted\" \n é");
  EXPECT_EQ(reader.metadata().at("a"), "");
  ASSERT_EQ(reader.tensors().size(), 4u);
  EXPECT_EQ(reader.tensors()[0].name, "w");
  EXPECT_THAT(reader.require("w", DType::f32, {3, -1}).shape, ElementsAre(3, 5));
  std::vector<float> back(15);
  reader.read(*reader.find("w"), back.data());
  EXPECT_EQ(back, weights);
  int64_t step_back = 0;
  reader.read(reader.require("step", DType::i64, {}), &step_back);
  EXPECT_EQ(step_back, 42);
  std::string names_back(7, ' ');
  reader.read(*reader.find("names"), names_back.data());
  EXPECT_EQ(names_back, names);
  EXPECT_EQ(reader.find("none"), nullptr);
}

TEST_F(SafetensorsTest, EveryTensorStartsAtAMultipleOf64) {
  const std::vector<float> data = numbers(200);
  std::vector<TensorSource> tensors;
  for (int64_t n = 0; n < 40; ++n) tensors.push_back({"t" + std::to_string(n), DType::f32, {n}, data.data()});
  const std::string bytes = write(tensors, {{"k", "v"}});
  const std::string header = safetensors_header(tensors, {{"k", "v"}});
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_EQ(bytes.size(), header.size() + tensors_size(tensors));
  const SafetensorsReader reader(path("file"));
  ASSERT_EQ(reader.tensors().size(), 40u);
  for (const TensorEntry& tensor : reader.tensors()) {
    EXPECT_EQ(tensor.begin % 64, 0u) << tensor.name;
    EXPECT_EQ(0, std::memcmp(bytes.data() + header.size() + tensor.begin, data.data(), tensor.bytes()));
  }
}

TEST_F(SafetensorsTest, TheBytesArePinned) {
  const float value = 1;
  const std::string bytes = write({{"b", DType::f32, {1}, &value}, {"a", DType::f32, {1, 1}, &value}}, {{"k", "v"}});
  const std::string header = R"({"__metadata__":{"k":"v"},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                             R"("_pad.0":{"dtype":"U8","shape":[60],"data_offsets":[4,64]},)"
                             R"("a":{"dtype":"F32","shape":[1,1],"data_offsets":[64,68]}})";
  const size_t padded = (8 + header.size() + 63) / 64 * 64 - 8;
  EXPECT_EQ(static_cast<unsigned char>(bytes[0]), padded % 256);
  EXPECT_EQ(bytes.substr(8, padded), header + std::string(padded - header.size(), ' '));
  EXPECT_EQ(bytes.size(), 8 + padded + 68);
}

TEST_F(SafetensorsTest, RowsWithAStrideAreStoredDense) {
  // Rows big enough that the copies go in several pieces.
  constexpr int64_t rows = 3000, cols = 500, stride = 507;
  const std::vector<float> padded = numbers(rows * stride);
  write({{"t", DType::f32, {rows, cols}, padded.data(), stride}, {"v", DType::f32, {rows}, padded.data(), stride}});
  const SafetensorsReader reader(path("file"));
  std::vector<float> dense(rows * cols), back(rows * stride, -1), column(rows);
  reader.read(*reader.find("t"), dense.data());
  reader.read(*reader.find("t"), back.data(), stride);
  reader.read(*reader.find("v"), column.data());
  for (int64_t r = 0; r < rows; ++r) {
    ASSERT_EQ(0, std::memcmp(&dense[r * cols], &padded[r * stride], cols * 4)) << r;
    ASSERT_EQ(0, std::memcmp(&back[r * stride], &padded[r * stride], cols * 4)) << r;
    ASSERT_EQ(back[r * stride + cols], -1) << "the gap was written";
    ASSERT_EQ(column[r], padded[r * stride]);
  }
}

TEST_F(SafetensorsTest, RequireSaysWhatDiffers) {
  const std::vector<float> data = numbers(6);
  write({{"w", DType::f32, {2, 3}, data.data()}});
  const SafetensorsReader reader(path("file"));
  const auto problem = [&](const char* name, DType dtype, std::vector<int64_t> shape) -> std::string {
    try {
      reader.require(name, dtype, shape);
    } catch (const FileError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(problem("w", DType::f32, {2, 3}), "");
  EXPECT_THAT(problem("w", DType::f32, {3, 2}), HasSubstr("holds tensor 'w' as f32 [2, 3]; expected f32 [3, 2]"));
  EXPECT_THAT(problem("w", DType::bf16, {2, 3}), HasSubstr("expected bf16 [2, 3]"));
  EXPECT_THAT(problem("v", DType::f32, {2, 3}), HasSubstr("has no tensor 'v'"));
}

TEST_F(SafetensorsTest, DamageIsRefusedWithTheFieldNamed) {
  const auto header = [&](const std::string& text, size_t data = 0) {
    save_header(text, data);
    return refusal();
  };
  const std::string good = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_EQ(header(good, 8), "accepted");
  EXPECT_THAT(header(good, 7), HasSubstr("is cut short: the header promises 8 bytes of tensors, the file has 7"));
  EXPECT_THAT(header(good, 9), HasSubstr("has bytes that belong to nothing"));
  EXPECT_THAT(header(R"({"w":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}})", 8),
              HasSubstr("'w.dtype': the type 'F99'"));
  EXPECT_THAT(header(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8),
              HasSubstr("has 8 bytes, but shape [3] of f32 takes 12"));
  EXPECT_THAT(header(R"({"w":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,8]}})", 8),
              HasSubstr("takes 18446744073709551615"));
  EXPECT_THAT(header(R"({"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8),
              HasSubstr("'w.shape': found a negative"));
  EXPECT_THAT(header(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12), HasSubstr("starts at byte 4"));
  EXPECT_THAT(header(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8),
              HasSubstr("expected a start and an end"));
  EXPECT_THAT(header(R"({"w":{"dtype":"F32","shape":[2]}})", 8),
              HasSubstr("'w': dtype, shape or data_offsets is missing"));
  EXPECT_THAT(header(R"({"w":{"dtype":"F32","dtype":"F32"}})"), HasSubstr("'w.dtype': stands there twice"));
  EXPECT_THAT(header(R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"w":{}})"),
              HasSubstr("'w': stands there twice"));
  EXPECT_THAT(header(R"({"w":{"size":3}})"), HasSubstr("'w.size': is not known"));
  EXPECT_THAT(header(R"({"w":{"shape":[[1]]}})"), HasSubstr("'w.shape': found a list"));
  EXPECT_THAT(header(R"({"w":{"shape":[1,1,1,1,1,1,1,1,1]}})"), HasSubstr("'w.shape': has more than 8 numbers"));
  EXPECT_THAT(header(R"({"w":3})"), HasSubstr("'w': found a number"));
  EXPECT_THAT(header(R"({"__metadata__":{"a":1}})"), HasSubstr("'__metadata__.a': found a number"));
  EXPECT_THAT(header("[]"), HasSubstr("the header is a list"));
  EXPECT_THAT(header(R"({"w":)"), HasSubstr("not valid JSON"));
  EXPECT_THAT(header(good + good, 8), HasSubstr("not valid JSON"));
  EXPECT_THAT(header(std::string(100000, '[')), HasSubstr("the header is a list"));
  EXPECT_THAT(header("{\"a\":" + std::string(100000, '{')), HasSubstr("not valid JSON"));
  save("12345");
  EXPECT_THAT(refusal(), HasSubstr("has only 5 bytes"));
  save(std::string(16, '\xff'));
  EXPECT_THAT(refusal(), HasSubstr("is not a safetensors file"));
  save(std::string("\x40\0\0\0\0\0\0\0{}", 10));
  EXPECT_THAT(refusal(), HasSubstr("is cut short: its header has 64 bytes, the whole file 10"));
}

TEST_F(SafetensorsTest, RecognisedByContent) {
  save_header("{}");
  EXPECT_TRUE(is_safetensors(path("file")));
  save("version: 1\nname: model\n");
  EXPECT_FALSE(is_safetensors(path("file")));
  EXPECT_FALSE(is_safetensors(dir_));
  EXPECT_FALSE(is_safetensors(path("missing")));
}

// Whatever is done to a file, it is read or refused; under the address sanitizer nothing else happens either.
TEST_F(SafetensorsTest, SeededDamageNeverCrashes) {
  const std::vector<float> data = numbers(64);
  const std::string good = write({{"w", DType::f32, {4, 5}, data.data()}, {"b", DType::f32, {5}, data.data()}},
                                 {{"graph", R"({"nodes":[1,2,3]})"}, {"format_version", "1"}});
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bad = good;
    if (round % 5 == 0) bad.resize(random() % bad.size());
    for (unsigned edits = random() % 4; edits > 0 && !bad.empty(); --edits) {
      const size_t at = random() % std::min<size_t>(bad.size(), 330);  // most of them in the header
      switch (random() % 3) {
        case 0:
          bad[at] = static_cast<char>(random());
          break;
        case 1:
          bad[at] = "0123456789{}[],:\"-."[random() % 19];
          break;
        case 2:
          bad.erase(at, random() % 8);
          break;
      }
    }
    save(bad);
    try {
      const SafetensorsReader reader(path("file"));
      std::vector<char> bytes;
      for (const TensorEntry& tensor : reader.tensors()) {
        bytes.resize(tensor.bytes());
        reader.read(tensor, bytes.data());
      }
    } catch (const FileError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1500);
}

TEST_F(SafetensorsTest, PythonOpensIt) {
  const char* python = std::getenv("MTRANK_PYTHON") ? std::getenv("MTRANK_PYTHON") : "python3";
  const auto run = [&](const std::string& code) {
    return std::system((std::string(python) + " -c '" + code + "' > " + path("log") + " 2>&1").c_str());
  };
  if (run("import safetensors, numpy") != 0) GTEST_SKIP() << "python3 has no safetensors and numpy";
  const std::vector<float> data = numbers(12);
  const int64_t step = 9;
  write({{"w", DType::f32, {3, 4}, data.data()}, {"step", DType::i64, {}, &step}, {"none", DType::f32, {0}, nullptr}},
        {{"format_version", "1"}});
  EXPECT_EQ(0, run("from safetensors import safe_open\n"
                   "f = safe_open(\"" +
                   path("file") +
                   "\", \"np\")\n"
                   "assert f.metadata() == {\"format_version\": \"1\"}\n"
                   "w = f.get_tensor(\"w\")\n"
                   "assert w.shape == (3, 4) and (w.ravel() == [i + .5 for i in range(12)]).all()\n"
                   "assert f.get_tensor(\"step\").item() == 9 and f.get_tensor(\"none\").shape == (0,)\n"))
      << contents("log");
}

}  // namespace
}  // namespace mtrank
