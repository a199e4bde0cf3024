#include <cub/cub.cuh>

#include "tests/emulator/on_device.h"

namespace mtrank::emulator {
namespace {

// Bits 4 to 11 order them; the rest is there to be ignored.
const std::vector<uint32_t> kKeys = {0xf305, 0x0101, 0x1302, 0x0203, 0x2109, 0x0301, 0xf100};
const std::vector<int> kIndices = {0, 1, 2, 3, 4, 5, 6};
const std::vector<int> kSorted = {1, 4, 6, 3, 0, 2, 5};

TEST(Cub, SortIsStableOverTheGivenBits) {
  const OnDevice<uint32_t> keys(kKeys), keys_out(kKeys);
  const OnDevice<int> values(kIndices), values_out(kIndices);
  size_t bytes = 0;
  ASSERT_EQ(cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys.get(), keys_out.get(), values.get(), values_out.get(),
                                            7, 4, 12),
            cudaSuccess);
  const OnDevice<char> room(std::vector<char>(bytes, 0));
  ASSERT_EQ(cub::DeviceRadixSort::SortPairs(room.get(), bytes, keys.get(), keys_out.get(), values.get(),
                                            values_out.get(), 7, 4, 12),
            cudaSuccess);
  EXPECT_EQ(values_out.values(), kSorted);
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(keys_out.values()[i], kKeys[static_cast<size_t>(kSorted[i])]);
  EXPECT_EQ(keys.values(), kKeys);
  EXPECT_NE(room.values(), std::vector<char>(bytes, 0));
  --bytes;
  EXPECT_EQ(cub::DeviceRadixSort::SortPairs(room.get(), bytes, keys.get(), keys_out.get(), values.get(),
                                            values_out.get(), 7, 4, 12),
            cudaErrorInvalidValue);
}

TEST(Cub, DoubleBuffersSayWhereTheResultIsAndLoseTheOther) {
  for (int end : {12, 20}) {  // an odd and an even number of passes
    const OnDevice<uint32_t> one(kKeys), two(kKeys);
    const OnDevice<int> values_one(kIndices), values_two(kIndices);
    cub::DoubleBuffer<uint32_t> keys(one.get(), two.get());
    cub::DoubleBuffer<int> values(values_one.get(), values_two.get());
    size_t bytes = 0;
    ASSERT_EQ(cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, values, 7, 4, end), cudaSuccess);
    EXPECT_EQ(values.selector, 0);
    const OnDevice<char> room(std::vector<char>(bytes, 0));
    ASSERT_EQ(cub::DeviceRadixSort::SortPairs(room.get(), bytes, keys, values, 7, 4, end), cudaSuccess);
    const OnDevice<int>& result = values.Current() == values_one.get() ? values_one : values_two;
    const OnDevice<int>& other = values.Current() == values_one.get() ? values_two : values_one;
    if (end == 12) {
      EXPECT_EQ(result.values(), kSorted);
    }
    for (size_t i = 1; i < 7; ++i)
      EXPECT_LE(kKeys[static_cast<size_t>(result.values()[i - 1])] >> 4 & ((1 << (end - 4)) - 1),
                kKeys[static_cast<size_t>(result.values()[i])] >> 4 & ((1 << (end - 4)) - 1));
    EXPECT_EQ(other.values(), std::vector<int>(7, static_cast<int>(0x01010101u * settings().poison)));
  }
}

TEST(Cub, Scans) {
  const OnDevice<int> in({3, 1, 4, 1}), out(std::vector<int>(4));
  size_t bytes = 0;
  ASSERT_EQ(cub::DeviceScan::ExclusiveSum(nullptr, bytes, in.get(), out.get(), 4), cudaSuccess);
  const OnDevice<char> room(std::vector<char>(bytes, 0));
  ASSERT_EQ(cub::DeviceScan::ExclusiveSum(room.get(), bytes, in.get(), out.get(), 4), cudaSuccess);
  EXPECT_EQ(out.values(), (std::vector<int>{0, 3, 4, 8}));
  ASSERT_EQ(cub::DeviceScan::InclusiveSum(room.get(), bytes, in.get(), out.get(), 4), cudaSuccess);
  EXPECT_EQ(out.values(), (std::vector<int>{3, 4, 8, 9}));
}

}  // namespace
}  // namespace mtrank::emulator
