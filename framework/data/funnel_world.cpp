#include "framework/data/funnel_world.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "framework/core/portable_math.h"

namespace mtrank {
namespace {

constexpr int kCategories = 20, kSegments = 8, kDevices = 3;
constexpr int kMinEntities = 40;
constexpr int kShortestSession = 5, kLongestSession = 15, kHistory = 10, kDays = 14;
constexpr double kEntityZipf = 0.6, kCategoryZipf = 0.8;
constexpr double kMeanLogPrice = 3.0, kLogPriceSpread = 0.8;
constexpr double kClickBias = -1.1, kCartBias = -0.8, kCheckoutBias = 0.1;

/// Users, and items: grows with the square root, so that a longer log is an easier one; 400 for 400,000 rows.
int entities(int64_t rows) {
  return std::max(kMinEntities, static_cast<int>(std::sqrt(0.4 * static_cast<double>(rows))));
}

/// Standard normals of one kind of thing: `draw(thing, which)`.
struct Normals {
  Normals(uint64_t seed, const char* name) : random(seed, "funnel", name) {}
  double operator()(int thing, int which) const { return normal01(random(which, thing)); }
  /// A random direction of length `length`: few are drawn, so free lengths would make one seed far easier than another.
  std::array<double, 3> direction(int thing, int first, double length) const {
    std::array<double, 3> v = {(*this)(thing, first), (*this)(thing, first + 1), (*this)(thing, first + 2)};
    const double scale = length / std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    for (double& x : v) x *= scale;
    return v;
  }
  Philox random;
};

double dot(const std::array<double, 3>& a, const std::array<double, 3>& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/// Visible ids 1 ... n in an order that says nothing.
std::vector<int> shuffled_ids(int n, uint64_t seed, const char* name) {
  const Philox random(seed, "funnel ids", name);
  std::vector<int> ids(n);
  for (int i = 0; i < n; ++i) ids[i] = i + 1;
  for (int i = n - 1; i > 0; --i) {
    const PhiloxBlock b = random(0, i);
    std::swap(ids[i], ids[uniform_below(i + 1, b[0], b[1])]);
  }
  return ids;
}

double standard_price(int cents) { return (portable_log(cents / 100.0) - kMeanLogPrice) / kLogPriceSpread; }
/// Peaks at eight in the evening.
double hour_effect(int hour) {
  const int apart = std::abs(hour - 20);
  return 0.5 - 0.08 * std::min(apart, 24 - apart);
}

}  // namespace

FunnelWorld::Zipf::Zipf(int n, double exponent) : cumulative(n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) cumulative[i] = sum += portable_exp(-exponent * portable_log(i + 1.0));
}

int FunnelWorld::Zipf::draw(double uniform) const {
  const auto at = std::upper_bound(cumulative.begin(), cumulative.end(), uniform * cumulative.back());
  return static_cast<int>(std::min<std::ptrdiff_t>(at - cumulative.begin(), std::ssize(cumulative) - 1));
}

FunnelWorld::FunnelWorld(int64_t rows, uint64_t seed)
    : seed_(seed),
      user_ids_(shuffled_ids(entities(rows), seed, "user")),
      item_ids_(shuffled_ids(entities(rows), seed, "item")),
      user_rank_(entities(rows), kEntityZipf),
      item_rank_(entities(rows), kEntityZipf),
      session_random_(seed, "funnel", "session"),
      row_random_(seed, "funnel", "row"),
      outcome_random_(seed, "funnel", "outcome") {
  const double sessions = static_cast<double>(rows) * 2 / (kShortestSession + kLongestSession);
  seconds_per_session_ = kDays * 86400.0 / std::max(sessions, 1.0);
  const Normals category(seed, "category"), segment(seed, "segment"), device(seed, "device");
  for (int i = 0; i < kCategories; ++i)
    categories_.push_back({category.direction(i, 0, 1.7), 0.6 * category(i, 3), 0.6 * category(i, 4)});
  for (int i = 0; i < kSegments; ++i)
    segments_.push_back({segment.direction(i, 0, 0.8), 0.5 * segment(i, 3), 0.6 * segment(i, 4), 0.8 * segment(i, 5)});
  for (int i = 0; i < kDevices; ++i) devices_.push_back({0.2 * device(i, 0), 0.3 * device(i, 1), 0.5 * device(i, 2)});
  fill_users(entities(rows));
  fill_items(entities(rows));
}

void FunnelWorld::fill_users(int count) {
  const Normals normal(seed_, "user");
  const Philox uniform(seed_, "funnel", "user uniform");
  for (int i = 0; i < count; ++i) {
    const PhiloxBlock b = uniform(0, i);
    const int segment = static_cast<int>(uniform_below(kSegments, b[0], b[1]));
    Latent taste = normal.direction(i, 1, 0.1);
    for (int k = 0; k < 3; ++k) taste[k] += segments_[segment].taste[k];
    users_.push_back({segment, 0.3 * normal(i, 0), taste, static_cast<int>(uniform_below(1000, b[2], b[3])), {}});
  }
}

void FunnelWorld::fill_items(int count) {
  const Normals normal(seed_, "item");
  const Philox uniform(seed_, "funnel", "item uniform");
  const Zipf category_rank(kCategories, kCategoryZipf);
  for (int i = 0; i < count; ++i) {
    const PhiloxBlock b = uniform(0, i);
    const double click = 0.5 * normal(i, 0);
    items_.push_back({category_rank.draw(uniform_open(b[0], b[1])), click, 0.5 * click + 0.1 * normal(i, 1),
                      kMeanLogPrice + kLogPriceSpread * normal(i, 2),
                      static_cast<int>(uniform_below(120, b[2], b[3]))});
  }
}

std::vector<FunnelRow> FunnelWorld::next_session() {
  const PhiloxBlock a = session_random_(0, session_), b = session_random_(1, session_);
  const int user_number = user_rank_.draw(uniform_open(a[0], a[1]));
  User& user = users_[user_number];
  const int length =
      kShortestSession + static_cast<int>(uniform_below(kLongestSession - kShortestSession + 1, a[2], a[3]));
  std::vector<FunnelRow> rows;
  std::vector<int> clicked;
  for (int position = 1; position <= length; ++position, ++row_) {
    const PhiloxBlock noise = row_random_(0, row_), outcome = outcome_random_(0, row_);
    const int item_number = item_rank_.draw(uniform_open(noise[0], noise[1]));
    FunnelRow row = impression(user, user_number, item_number, noise);
    const double session_part = static_cast<double>(position) / (kLongestSession + 1);
    row.time = static_cast<int64_t>((static_cast<double>(session_) + session_part) * seconds_per_session_);
    row.position = position;
    row.hour = static_cast<int>(uniform_below(24, b[0], b[1]));
    row.device = static_cast<int>(uniform_below(kDevices, b[2], b[3]));
    row.user_tenure_days = user.tenure_days + static_cast<int>(row.time / 86400);
    row.item_age_days = items_[item_number].age_days + static_cast<int>(row.time / 86400);
    set_probabilities(user, items_[item_number], row);
    // One uniform decides all stages: below P(checkout) is a checkout, below P(cart) a cart, below P(click) a click.
    const double u = uniform_open(outcome[0], outcome[1]);
    for (int stage = 0; stage < 3; ++stage) row.label[stage] = u < row.probability[stage];
    if (row.label[kClick]) clicked.push_back(item_number);
    rows.push_back(std::move(row));
  }
  // A session's clicks reach the history when it is over, as in a log that is joined afterwards.
  for (int item : clicked) {
    user.clicked.push_back(item);
    if (user.clicked.size() > kHistory) user.clicked.pop_front();
  }
  ++session_;
  return rows;
}

FunnelRow FunnelWorld::impression(const User& user, int user_number, int item_number, const PhiloxBlock& noise) const {
  const Item& item = items_[item_number];
  FunnelRow row{};
  row.user_id = user_ids_[user_number];
  row.user_segment = user.segment + 1;
  row.item_id = item_ids_[item_number];
  row.category_id = item.category + 1;
  const double price = portable_exp(item.log_price + 0.15 * normal_quantile(uniform_open(noise[2], noise[3])));
  row.price_cents = std::max(1, static_cast<int>(price * 100 + 0.5));
  for (int clicked : user.clicked) {
    row.clicked_items.push_back(item_ids_[clicked]);
    row.clicked_categories.push_back(items_[clicked].category + 1);
  }
  return row;
}

FunnelWorld::Latent FunnelWorld::mean_latent(const std::deque<int>& items) const {
  Latent mean{};
  for (int item : items)
    for (int k = 0; k < 3; ++k)
      mean[k] += categories_[items_[item].category].latent[k] / static_cast<double>(items.size());
  return mean;
}

double FunnelWorld::click_logit(const User& user, const Item& item, const FunnelRow& row, double price) const {
  const Latent& c = categories_[item.category].latent;
  const Segment& segment = segments_[user.segment];
  return kClickBias + user.click + item.click + dot(user.taste, c) + 0.3 * dot(mean_latent(user.clicked), c) +
         devices_[row.device].click + hour_effect(row.hour) - 0.5 * portable_log(row.position) -
         0.5 * price * (1 - segment.budget) + 0.9 * portable_exp(-row.item_age_days / 30.0);
}

void FunnelWorld::set_probabilities(const User& user, const Item& item, FunnelRow& row) const {
  const Category& category = categories_[item.category];
  const Segment& segment = segments_[user.segment];
  const Device& device = devices_[row.device];
  const double price = standard_price(row.price_cents);
  const double cart = kCartBias + item.cart + category.cart + segment.cart + dot(segment.taste, category.latent) -
                      0.7 * price + device.cart;
  const double checkout = kCheckoutBias + segment.checkout + category.checkout + device.checkout -
                          0.8 * price * (1 - segment.budget) + 0.6 * (portable_log(1.0 + row.user_tenure_days) - 6.0);
  row.probability[kClick] = portable_sigmoid(click_logit(user, item, row, price));
  row.probability[kCart] = row.probability[kClick] * portable_sigmoid(cart);
  row.probability[kCheckout] = row.probability[kCart] * portable_sigmoid(checkout);
}

}  // namespace mtrank
