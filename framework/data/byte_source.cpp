#include "framework/data/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "framework/core/error.h"

namespace mtrank {
namespace {

constexpr size_t kCompressedChunk = 256 << 10;

[[noreturn]] void fail(const std::string& path, const std::string& problem) { throw DataError(path + ": " + problem); }

/// An open file descriptor with its name.
class File {
 public:
  explicit File(std::string path) : path_(std::move(path)), fd_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) fail(path_, std::string("cannot be opened: ") + std::strerror(errno));
    struct stat info {};
    if (::fstat(fd_, &info) == 0 && S_ISDIR(info.st_mode)) {
      ::close(fd_);
      fail(path_, "is a directory, expected a file; a pattern like " + path_ + "/*.csv takes all files in it");
    }
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  size_t read(char* out, size_t size) {
    size_t done = 0;
    while (done < size) {
      const ssize_t n = ::read(fd_, out + done, size - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0)
        fail(path_, "cannot be read at byte " + std::to_string(position_ + done) + ": " + std::strerror(errno));
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    position_ += done;
    return done;
  }
  const std::string& path() const { return path_; }
  size_t position() const { return position_; }

 private:
  std::string path_;
  int fd_;
  size_t position_ = 0;
};

/// A file whose first bytes were looked at and are given out again.
class PeekedFile : public File {
 public:
  explicit PeekedFile(const std::string& path) : File(path), head_(4) { head_.resize(File::read(head_.data(), 4)); }
  std::string_view head() const { return {head_.data(), head_.size()}; }
  size_t read(char* out, size_t size) {
    const size_t n = std::min(size, head_.size() - given_);
    std::memcpy(out, head_.data() + given_, n);
    given_ += n;
    return n == size ? n : n + File::read(out + n, size - n);
  }

 private:
  std::vector<char> head_;
  size_t given_ = 0;
};

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(std::unique_ptr<PeekedFile> file) : file_(std::move(file)) {}
  size_t read(char* out, size_t size) override { return file_->read(out, size); }

 private:
  std::unique_ptr<PeekedFile> file_;
};

class GzipSource : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<PeekedFile> file) : file_(std::move(file)), in_(kCompressedChunk) {
    if (inflateInit2(&z_, 15 + 16) != Z_OK) throw ResourceError(file_->path() + ": no memory to decompress it");
  }
  ~GzipSource() override { inflateEnd(&z_); }

  size_t read(char* out, size_t size) override {
    size_t done = 0;
    while (done < size && !ended_) {
      if (z_.avail_in == 0) refill();
      if (ended_) break;
      z_.next_out = reinterpret_cast<Bytef*>(out + done);
      z_.avail_out = static_cast<uInt>(std::min<size_t>(size - done, 1u << 30));
      const uInt before = z_.avail_out;
      const int status = inflate(&z_, Z_NO_FLUSH);
      done += before - z_.avail_out;
      if (status == Z_STREAM_END) {
        next_member();
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        fail(file_->path(), "damaged gzip data near byte " + std::to_string(position()) + " of the file (" +
                                (z_.msg ? z_.msg : "no detail") + ")");
      }
    }
    return done;
  }

 private:
  size_t position() const { return file_->position() - z_.avail_in; }

  void refill() {
    z_.next_in = reinterpret_cast<Bytef*>(in_.data());
    z_.avail_in = static_cast<uInt>(file_->read(in_.data(), in_.size()));
    if (z_.avail_in > 0) return;
    if (!between_members_)
      fail(file_->path(), "gzip data is cut off: the file ends at byte " + std::to_string(file_->position()) +
                              " in the middle of the data; copy it again");
    ended_ = true;
  }

  /// After a member comes another one, zero padding, or the end of the file.
  void next_member() {
    between_members_ = true;
    while (true) {
      while (z_.avail_in > 0 && *z_.next_in == 0) ++z_.next_in, --z_.avail_in;
      if (z_.avail_in > 0) break;
      refill();
      if (ended_) return;
    }
    inflateReset(&z_);
    between_members_ = false;
  }

  std::unique_ptr<PeekedFile> file_;
  std::vector<char> in_;
  z_stream z_{};
  bool ended_ = false;
  bool between_members_ = false;
};

class ZstdSource : public ByteSource {
 public:
  explicit ZstdSource(std::unique_ptr<PeekedFile> file)
      : file_(std::move(file)), stream_(ZSTD_createDStream()), buffer_(kCompressedChunk) {
    if (!stream_) throw ResourceError(file_->path() + ": no memory to decompress it");
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }

  size_t read(char* out, size_t size) override {
    ZSTD_outBuffer to{out, size, 0};
    while (to.pos < size) {
      if (in_.pos == in_.size && !refill()) break;
      const size_t produced = to.pos, consumed = in_.pos;
      const size_t status = ZSTD_decompressStream(stream_, &to, &in_);
      if (ZSTD_isError(status))
        fail(file_->path(), "damaged zstd data near byte " + std::to_string(file_->position() - in_.size + in_.pos) +
                                " of the file (" + ZSTD_getErrorName(status) + ")");
      if (to.pos > produced || in_.pos > consumed) in_frame_ = status != 0;
      pending_output_ = in_frame_ && to.pos == size;
    }
    return to.pos;
  }

 private:
  bool refill() {
    in_ = {buffer_.data(), file_->read(buffer_.data(), buffer_.size()), 0};
    if (in_.size > 0 || pending_output_) return pending_output_ = false, true;
    if (in_frame_)
      fail(file_->path(), "zstd data is cut off: the file ends at byte " + std::to_string(file_->position()) +
                              " in the middle of the data; copy it again");
    return false;
  }

  std::unique_ptr<PeekedFile> file_;
  ZSTD_DStream* stream_;
  std::vector<char> buffer_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool in_frame_ = false;
  bool pending_output_ = false;  // the decoder may hold output that did not fit, with no input left
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::string& path) {
  auto file = std::make_unique<PeekedFile>(path);
  const std::string_view head = file->head();
  if (head.substr(0, 2) == "\x1f\x8b") return std::make_unique<GzipSource>(std::move(file));
  if (head == "\x28\xb5\x2f\xfd") return std::make_unique<ZstdSource>(std::move(file));
  for (const char* ending : {".gz", ".zst"})
    if (path.ends_with(ending)) {
      const std::string found = head.empty() ? "is empty" : "does not begin like one";
      fail(path, "the name says a " + std::string(ending) + " file, but it " + found);
    }
  return std::make_unique<PlainSource>(std::move(file));
}

}  // namespace mtrank
