#include "framework/data/prefetch.h"

#include <chrono>
#include <utility>

namespace mtrank {

PrefetchSource::PrefetchSource(std::unique_ptr<BatchSource> source, int depth)
    : source_(std::move(source)), depth_(static_cast<size_t>(depth)) {
  start({});
}

PrefetchSource::~PrefetchSource() { stop(); }

void PrefetchSource::start(std::optional<Place> from) {
  stopping_ = ended_ = false;
  error_ = nullptr;
  thread_ = std::thread([this, from] { run(from); });
}

void PrefetchSource::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (; !ready_.empty(); ready_.pop_front()) spare_.push_back(std::move(ready_.front()));
}

void PrefetchSource::seek(int64_t epoch, int64_t sample) {
  stop();
  start(Place{epoch, sample});
}

void PrefetchSource::run(std::optional<Place> from) {
  Batch batch;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || ready_.size() < depth_; });
      if (stopping_) return;
      if (!spare_.empty()) {
        batch = std::move(spare_.front());
        spare_.pop_front();
      }
    }
    bool more = false;
    std::exception_ptr error;
    try {
      if (from) source_->seek(from->epoch, from->sample);
      from.reset();
      more = source_->next(batch);
    } catch (...) {
      error = std::current_exception();
    }
    {
      std::lock_guard lock(mutex_);
      if (more) ready_.push_back(std::move(batch));
      ended_ = !more;
      error_ = error;
    }
    changed_.notify_all();
    if (!more) return;
    batch = Batch();
  }
}

bool PrefetchSource::next(Batch& batch) {
  std::unique_lock lock(mutex_);
  if (ready_.empty() && !ended_) {
    const auto from = std::chrono::steady_clock::now();
    changed_.wait(lock, [this] { return !ready_.empty() || ended_; });
    seconds_waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
  }
  if (ready_.empty()) {
    batch.rows = 0;
    if (error_) std::rethrow_exception(error_);
    return false;
  }
  std::swap(batch, ready_.front());
  if (spare_.size() < depth_) spare_.push_back(std::move(ready_.front()));
  ready_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return true;
}

}  // namespace mtrank
