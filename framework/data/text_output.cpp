#include "framework/data/text_output.h"

#include <zlib.h>

#include "framework/core/atomic_file.h"
#include "framework/core/error.h"

namespace mtrank {
namespace {

constexpr size_t kBlock = 1 << 18;
constexpr int kLevel = 3, kGzip = 15 + 16;

}  // namespace

struct TextOutput::State {
  explicit State(const std::string& path) : file(path), gzip(path.ends_with(".gz")) {
    if (gzip && deflateInit2(&stream, kLevel, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      throw ResourceError("no memory to compress " + path);
  }
  ~State() {
    if (gzip) deflateEnd(&stream);
  }

  AtomicFile file;
  bool gzip;
  z_stream stream{};
  std::string pending;
};

TextOutput::TextOutput(const std::string& path) : state_(std::make_unique<State>(path)) {}
TextOutput::~TextOutput() = default;

void TextOutput::write(std::string_view text) {
  state_->pending += text;
  if (state_->pending.size() >= kBlock) flush(false);
}

void TextOutput::commit() {
  flush(true);
  state_->file.commit();
}

void TextOutput::flush(bool last) {
  std::string& pending = state_->pending;
  if (!state_->gzip) {
    state_->file.write(pending);
  } else {
    z_stream& z = state_->stream;
    z.next_in = reinterpret_cast<Bytef*>(pending.data());
    z.avail_in = static_cast<uInt>(pending.size());
    std::string out(kBlock, '\0');
    do {
      z.next_out = reinterpret_cast<Bytef*>(out.data());
      z.avail_out = static_cast<uInt>(out.size());
      MTRANK_ASSERT(deflate(&z, last ? Z_FINISH : Z_NO_FLUSH) != Z_STREAM_ERROR);
      state_->file.write(out.data(), out.size() - z.avail_out);
    } while (z.avail_out == 0);
  }
  pending.clear();
}

}  // namespace mtrank
