#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "framework/core/philox.h"

namespace mtrank {

/// The stages of the funnel, each a label of a row. A later one implies the earlier.
enum FunnelStage { kClick, kCart, kCheckout };
constexpr std::array<const char*, 3> kFunnelStages = {"click", "cart", "checkout"};

/// One impression: what a model may see, what happened, and the probabilities it happened with.
struct FunnelRow {
  int64_t time;  // seconds since the first session
  int user_id, user_segment, item_id, category_id, hour, device;
  int position;     // 1 is the top
  int price_cents;  // > 0
  int item_age_days, user_tenure_days;
  std::vector<int> clicked_items;       // the user's latest clicks, oldest first
  std::vector<int> clicked_categories;  // theirs
  std::array<double, 3> probability;    // of each stage for this impression: P(click), P(click and cart), ...
  std::array<bool, 3> label;
};

/// The planted truth of a shop: sessions of impressions in time order, drawn from a smooth function of what a row
/// shows.
///
///     logit P(click)            = user + item + <taste(user), c> + <mean of c over the clicked items, c> + device +
///     hour
///                                 - ln(position) / 2 + price against the segment's budget + freshness
///     logit P(cart | click)     = item + category + segment + <taste(segment), c> - price + device
///     logit P(checkout | cart)  = segment + category + device - price against budget + tenure
///
/// c is the latent vector of a category (3 numbers), taste(user) its segment's vector plus a personal one. User, item
/// and category ids are Zipf-distributed. The numbers of users and items grow with the square root of `rows` (400 each
/// for 400,000), so that each has hundreds of impressions: a model can learn nearly all of the signal from the ids.
/// A pure function of (rows, seed): counter-based random numbers, portable maths.
class FunnelWorld {
 public:
  FunnelWorld(int64_t rows, uint64_t seed);

  /// The impressions of the next session.
  std::vector<FunnelRow> next_session();

  int users() const { return static_cast<int>(users_.size()); }
  int items() const { return static_cast<int>(items_.size()); }

 private:
  using Latent = std::array<double, 3>;
  struct User {
    int segment;
    double click;
    Latent taste;
    int tenure_days;          // at time 0
    std::deque<int> clicked;  // item numbers
  };
  struct Item {
    int category;
    double click, cart, log_price;
    int age_days;  // at time 0
  };
  struct Category {
    Latent latent;
    double cart, checkout;
  };
  struct Segment {
    Latent taste;
    double budget, cart, checkout;
  };
  struct Device {
    double click, cart, checkout;
  };
  /// Draws ranks with probability proportional to 1 / (rank + 1)^exponent.
  struct Zipf {
    Zipf(int n, double exponent);
    int draw(double uniform) const;
    std::vector<double> cumulative;
  };

  void fill_users(int count);
  void fill_items(int count);
  FunnelRow impression(const User& user, int user_number, int item_number, const PhiloxBlock& noise) const;
  void set_probabilities(const User& user, const Item& item, FunnelRow& row) const;
  double click_logit(const User& user, const Item& item, const FunnelRow& row, double price) const;
  Latent mean_latent(const std::deque<int>& items) const;

  uint64_t seed_;
  int64_t session_ = 0;
  int64_t row_ = 0;
  double seconds_per_session_;
  std::vector<Category> categories_;
  std::vector<Segment> segments_;
  std::vector<Device> devices_;
  std::vector<User> users_;
  std::vector<Item> items_;
  std::vector<int> user_ids_, item_ids_;  // visible ids: a permutation, so that an id does not tell its popularity
  Zipf user_rank_, item_rank_;
  Philox session_random_, row_random_, outcome_random_;
};

}  // namespace mtrank
