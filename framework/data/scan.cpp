#include "framework/data/scan.h"

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>

#include "framework/core/error.h"
#include "framework/core/thread_pool.h"

namespace mtrank {
namespace {

/// Lets numbered blocks through one at a time, in order.
class Turnstile {
 public:
  /// False when the scan stopped at an earlier block.
  bool enter(int64_t index) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopped_ || turn_ == index; });
    return !stopped_;
  }
  void leave() {
    {
      std::lock_guard lock(mutex_);
      ++turn_;
    }
    changed_.notify_all();
  }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t turn_ = 0;
  bool stopped_ = false;
};

class ScanRun {
 public:
  ScanRun(const std::vector<std::string>& files, const ReadOptions& options, const std::vector<std::string>& columns,
          const FileScan::Work& work, const FileScan::Deliver& deliver)
      : files_(files), options_(options), columns_(columns), work_(work), deliver_(deliver) {}

  void run(int threads) {
    ThreadPool(threads).run(threads, [this](int, int worker) { loop(worker); });
    if (error_) std::rethrow_exception(error_);
  }

 private:
  /// One opened file, kept alive by the blocks that still need it.
  struct Opened {
    std::unique_ptr<Reader> reader;
    std::vector<int> selected;
    std::string path;
  };
  struct Task {
    int64_t index = 0;
    bool first_of_file = false;
    std::shared_ptr<const Opened> file;
  };

  void loop(int worker) {
    ScanBlock block;
    Task task;
    while (true) {
      std::exception_ptr error;
      if (!take(block, task, error)) return;
      if (!error) error = parse_and_number(block, task, worker);
      if (!deliver_turn_.enter(task.index)) return;
      if (!error) error = deliver(block, worker);
      if (error || done_) {
        error_ = error;
        number_turn_.stop();
        deliver_turn_.stop();
        return;
      }
      deliver_turn_.leave();
    }
  }

  /// Reads the next block. False at the end; an error belongs to the block that could not be read.
  bool take(ScanBlock& block, Task& task, std::exception_ptr& error) {
    std::lock_guard lock(mutex_);
    if (ended_) return false;
    task.index = next_index_;
    task.first_of_file = false;
    try {
      while (true) {
        if (!file_ && !open_next(task)) {
          ended_ = true;
          return false;
        }
        if (file_->reader->next(block.raw)) break;
        file_.reset();
      }
    } catch (...) {
      ended_ = true;
      error = std::current_exception();
    }
    ++next_index_;
    task.file = file_;
    return true;
  }

  bool open_next(Task& task) {
    if (next_file_ == files_.size()) return false;
    auto opened = std::make_shared<Opened>();
    opened->path = files_[next_file_++];
    opened->reader = open_reader(opened->path, options_);
    opened->selected = select_columns(opened->path, *opened->reader, columns_);
    file_ = std::move(opened);
    task.first_of_file = true;
    return true;
  }

  std::exception_ptr parse_and_number(ScanBlock& block, const Task& task, int worker) {
    try {
      block.path = task.file->path;
      task.file->reader->parse(block.raw, task.file->selected, block.table);
      if (!number_turn_.enter(task.index)) return nullptr;
      if (task.first_of_file) next_line_ = task.file->reader->first_line();
      block.first_row = next_row_;
      block.first_line = next_line_;
      next_row_ += static_cast<int64_t>(block.table.rows);
      next_line_ += block.table.lines;
      number_turn_.leave();
      work_(worker, block);
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  std::exception_ptr deliver(ScanBlock& block, int worker) {
    try {
      if (!deliver_(worker, block)) done_ = true;
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  const std::vector<std::string>& files_;
  const ReadOptions& options_;
  const std::vector<std::string>& columns_;
  const FileScan::Work& work_;
  const FileScan::Deliver& deliver_;

  std::mutex mutex_;  // guards reading
  size_t next_file_ = 0;
  int64_t next_index_ = 0;
  bool ended_ = false;
  std::shared_ptr<Opened> file_;

  Turnstile number_turn_, deliver_turn_;
  int64_t next_row_ = 0, next_line_ = 1;  // guarded by number_turn_
  bool done_ = false;                     // guarded by deliver_turn_
  std::exception_ptr error_;              // written once, read after the threads have ended
};

}  // namespace

void FileScan::run(int threads, const Work& work, const Deliver& deliver) const {
  ScanRun(files_, options_, columns_, work, deliver).run(threads);
}

std::string describe_bad_row(const ScanBlock& block, const BadRow& bad) {
  std::string text = block.path + ":" + std::to_string(block.line(bad.row)) + ": ";
  if (bad.column.empty()) return text + bad.problem;
  return text + "column '" + bad.column + "': found '" + shown_value(bad.value) + "', " + bad.problem;
}

void BadRowPolicy::report(const ScanBlock& block, const BadRow& bad) {
  const std::string message = describe_bad_row(block, bad);
  if (bad.stops)
    throw DataError(message + (skip_ ? "; this is not skipped, since the rows that follow are lost with it" : ""));
  if (!skip_) throw DataError(message + "; " + keys_.skip + " leaves such rows out");
  if (first_.empty()) first_ = message;
  if (++count_ > cap_ && cap_ >= 0)
    throw DataError(message + "; that is bad row number " + std::to_string(count_) + " and " + keys_.cap + " is " +
                    std::to_string(cap_));
}

}  // namespace mtrank
