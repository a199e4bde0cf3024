#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/data/data_testing.h"

namespace mtrank {
namespace {

using namespace data_testing;

/// Sums over a part as the reference program (pandas, PyTorch) encodes it; row r weighs (r + 1) mod 1009.
struct Golden {
  Part part;
  int64_t rows;
  int64_t sum_of_ids;            // of the 34 single ids
  int64_t list_ids[3];           // number of ids in tags, watched_videos, liked_videos
  int64_t weighted_list_ids[3];  // sum of weight * id
  int64_t weighted_ids[6];       // of tab, hour, user_id, video_id, author_id, video_type
  double dense[3];               // sums
  float first[3];                // row 0
  int64_t positives[4];
};

const Golden kGolden[] = {
    {Part::train,
     171671,
     3246367427,
     {190958, 6146922, 184620},
     {2439748453, 9389817731451, 279554665213},
     {276599717, 972423767, 1039152704755, 261298535574, 237362016481, 258407584},
     {0.0005956784225418232, 4.500150680541992e-06, 0.00013256222882773727},
     {-0.04939435422420502f, -2.256664276123047f, -0.20280678570270538f},
     {76099, 53544, 2996, 3213}},
    {Part::valid,
     13390,
     245695405,
     {15067, 479638, 13730},
     {188630525, 721192248959, 21052571598},
     {20916147, 75239154, 76209618224, 19924187492, 18138822761, 19876526},
     {950.2409772743777, 21548.87567281723, 650.7052178625454},
     {0.5111135244369507f, 1.2981410026550293f, 0.7935404181480408f},
     {5779, 4033, 188, 227}},
    {Part::test,
     43268,
     796569174,
     {48683, 1553971, 47679},
     {616793364, 2368982718081, 72039820412},
     {67802493, 244439695, 249985878035, 66148055777, 59517761376, 65096800},
     {-444.31862378025835, 92433.5920342207, 20.955747183441417},
     {-0.806057333946228f, 2.0867886543273926f, -0.4137834310531616f},
     {19022, 13386, 731, 791}},
};

struct Sums {
  int64_t rows = 0, ids = 0, list_ids[3] = {}, weighted_list_ids[3] = {}, weighted_ids[6] = {};
  double dense[3] = {};
  float first[3] = {};
};

Sums sum_up(BatchSource& source) {
  Sums s;
  Batch batch;
  while (source.next(batch))
    for (int64_t r = 0; r < batch.rows; ++r, ++s.rows) {
      const int64_t weight = (s.rows + 1) % 1009;
      for (size_t f = 0; f < 34; ++f) {
        const int64_t id = batch.ids[f].view().ids[r];
        s.ids += id;
        if (f < 6) s.weighted_ids[f] += weight * id;
      }
      for (size_t l = 0; l < 3; ++l) {
        const IdsView v = batch.ids[34 + l].view(r);
        for (int32_t i = v.offsets[0]; i < v.offsets[1]; ++i) {
          ++s.list_ids[l];
          s.weighted_list_ids[l] += weight * v.ids[i];
        }
      }
      for (size_t d = 0; d < 3; ++d) {
        const float x = batch.dense[0][3 * static_cast<size_t>(r) + d];
        s.dense[d] += static_cast<double>(x);
        if (s.rows == 0) s.first[d] = x;
      }
    }
  return s;
}

void expect_golden(const Golden& g, const Sums& s) {
  EXPECT_EQ(s.rows, g.rows);
  EXPECT_EQ(s.ids, g.sum_of_ids);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(s.weighted_ids[i], g.weighted_ids[i]) << i;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(s.list_ids[i], g.list_ids[i]) << i;
    EXPECT_EQ(s.weighted_list_ids[i], g.weighted_list_ids[i]) << i;
    EXPECT_NEAR(s.dense[i], g.dense[i], 1e-3) << i;
    EXPECT_NEAR(s.first[i], g.first[i], 1e-6) << i;
  }
}

TEST(KuaiRand, EncodesAsTheReferenceProgramDoes) {
  const char* data = std::getenv("MTRANK_DATA");
  if (!data) GTEST_SKIP() << "set MTRANK_DATA to the folder with kuairand/ to run this";
  TempDir cache;
  auto spec = kuairand_spec(std::string(data) + "/kuairand");
  spec.cache_folder = cache.path();
  const Dataset parsed(spec, 2), cached(spec, 1);
  for (const Part part : {Part::train, Part::valid, Part::test})
    EXPECT_EQ(parsed.fingerprint(part), cached.fingerprint(part));
  EXPECT_EQ(parsed.schema().tables[2].rows, 24077);
  EXPECT_EQ(parsed.schema().tables[3].rows, 6076);
  EXPECT_EQ(parsed.schema().tables[34].rows, 47);
  for (const Golden& g : kGolden) {
    SCOPED_TRACE(part_name(g.part));
    expect_golden(g, sum_up(*parsed.eval(g.part, 2048)));
    expect_golden(g, sum_up(*cached.eval(g.part, 999)));
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(cached.summary(g.part).labels[i].positives, g.positives[i]);
  }
}

}  // namespace
}  // namespace mtrank
