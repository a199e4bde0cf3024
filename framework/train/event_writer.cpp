#include "framework/train/event_writer.h"

#include <bit>
#include <cmath>
#include <cstdio>

#include "framework/core/crc32c.h"

namespace mtrank {
namespace {

// Protocol buffer wire types.
constexpr int kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

void varint(std::string& out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  out += static_cast<char>(v);
}

void tag(std::string& out, int field, int wire) { varint(out, static_cast<uint64_t>(field) << 3 | wire); }

void little_endian(std::string& out, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> (8 * i));
}

void bytes_field(std::string& out, int field, std::string_view bytes) {
  tag(out, field, kBytes);
  varint(out, bytes.size());
  out += bytes;
}

/// Event {double wall_time = 1; int64 step = 2; oneof {string file_version = 3; Summary summary = 5; SessionLog
/// session_log = 7}}
std::string event(double seconds, int64_t step, int what, std::string_view content) {
  std::string out;
  tag(out, 1, kFixed64);
  little_endian(out, std::bit_cast<uint64_t>(seconds), 8);
  if (step != 0) {
    tag(out, 2, kVarint);
    varint(out, static_cast<uint64_t>(step));
  }
  bytes_field(out, what, content);
  return out;
}

/// Summary {repeated Value value = 1 {string tag = 1; float simple_value = 2}}
std::string summary(std::span<const EventWriter::Scalar> values) {
  std::string out;
  for (const auto& [name, value] : values) {
    std::string entry;
    bytes_field(entry, 1, name);
    tag(entry, 2, kFixed32);
    little_endian(entry, std::bit_cast<uint32_t>(static_cast<float>(value)), 4);
    bytes_field(out, 1, entry);
  }
  return out;
}

uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

}  // namespace

std::string tfrecord(std::string_view data) {
  std::string out;
  little_endian(out, data.size(), 8);
  little_endian(out, masked_crc(std::string_view(out).substr(0, 8)), 4);
  out += data;
  little_endian(out, masked_crc(data), 4);
  return out;
}

EventWriter::EventWriter(const std::string& path, double seconds) : file_(path) {
  record(event(seconds, 0, 3, "brain.Event:2"));
}

void EventWriter::start_at(int64_t step, double seconds) {
  std::string session_log;  // SessionLog {SessionStatus status = 1}, START = 1
  tag(session_log, 1, kVarint);
  varint(session_log, 1);
  record(event(seconds, step, 7, session_log));
}

void EventWriter::scalars(int64_t step, double seconds, std::span<const Scalar> values) {
  record(event(seconds, step, 5, summary(values)));
}

void EventWriter::record(std::string_view event) { file_.write(tfrecord(event)); }

std::string EventWriter::path_in(const std::string& dir, double seconds) {
  for (int n = 0;; ++n) {
    char name[64];
    std::snprintf(name, sizeof name, "events.out.tfevents.%010.0f.%d.mtrank", std::floor(seconds), n);
    const std::string path = dir + "/" + name;
    if (!disk::is_file(path)) return path;
  }
}

}  // namespace mtrank
