#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "framework/core/error.h"

namespace mtrank {

/// Puts plain values one after the other, for files that only this machine reads.
class ByteWriter {
 public:
  template <class T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_text(std::string_view text) {
    put(static_cast<uint64_t>(text.size()));
    bytes_ += text;
  }
  template <class T>
  void put_all(const std::vector<T>& values) {
    static_assert(std::is_trivially_copyable_v<T>);
    put(static_cast<uint64_t>(values.size()));
    if (!values.empty()) bytes_.append(reinterpret_cast<const char*>(values.data()), sizeof(T) * values.size());
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// Reads them back. Throws FileError, naming `source`, rather than read past the end.
class ByteParser {
 public:
  ByteParser(std::string_view bytes, std::string source) : bytes_(bytes), source_(std::move(source)) {}

  template <class T>
  T get() {
    T value;
    need(sizeof value);
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  /// A number of things that take at least `size` bytes each.
  uint64_t get_count(size_t size) {
    const auto n = get<uint64_t>();
    if (n > bytes_.size() / size) need(bytes_.size() + 1);
    return n;
  }
  std::string get_text() {
    const auto n = static_cast<size_t>(get_count(1));
    std::string text(bytes_.substr(0, n));
    bytes_.remove_prefix(n);
    return text;
  }
  template <class T>
  std::vector<T> get_all() {
    std::vector<T> values(static_cast<size_t>(get_count(sizeof(T))));
    if (!values.empty()) std::memcpy(values.data(), bytes_.data(), sizeof(T) * values.size());
    bytes_.remove_prefix(sizeof(T) * values.size());
    return values;
  }
  bool at_end() const { return bytes_.empty(); }

 private:
  void need(size_t size) const {
    if (size > bytes_.size()) throw FileError(source_ + ": is cut off or damaged");
  }
  std::string_view bytes_;
  std::string source_;
};

}  // namespace mtrank
