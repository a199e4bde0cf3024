#include <cmath>
#include <cstdio>

#include "framework/config/node.h"

namespace mtrank {
namespace {

bool is_flat(const Node& node) { return node.is_null() || node.is_scalar(); }

std::string double_quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (byte < 0x20 || byte == 0x7F) {
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "\\u%04x", byte);
      out += buffer;
    } else {
      out += c;
    }
  }
  return out + '"';
}

/// Text that reads back as the same text without quotes, in block and in flow context. Narrower than YAML allows.
bool plain_is_safe(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return false;
  if (text.front() == ' ' || text.back() == ' ' || text.starts_with("---") || text.starts_with("...")) return false;
  static constexpr std::string_view safe_start = "_./+($=^;";
  const auto alnum = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const bool number_sign = text.front() == '-' && text.size() > 1 && (alnum(text[1]) || text[1] == '.');
  if (!alnum(text.front()) && !number_sign && safe_start.find(text.front()) == std::string_view::npos) return false;
  for (size_t i = 1; i < text.size(); ++i) {
    static constexpr std::string_view safe = " _-./+*()=<>!^;$%&~@|";
    if (!alnum(text[i]) && safe.find(text[i]) == std::string_view::npos) return false;
  }
  return true;
}

std::string scalar_text(const Node& node) {
  if (node.is_null()) return "null";
  const bool typed = Node::scalar(node.text).as_double() || Node::scalar(node.text).as_bool();
  if (typed) return node.quoted ? double_quoted(node.text) : node.text;
  // Words that unset an optional stay text only in quotes.
  for (const char* word : {"none", "auto", "any", "run", "last", "inherit"})
    if (node.quoted && node.text == word) return double_quoted(node.text);
  return plain_is_safe(node.text) ? node.text : double_quoted(node.text);
}

std::string flow(const Node& node) {
  std::string out;
  if (node.is_list()) {
    for (const Node& item : node.items) out += (out.empty() ? "" : ", ") + flow(item);
    return "[" + out + "]";
  }
  if (node.is_map()) {
    for (const auto& entry : node.entries)
      out += (out.empty() ? "" : ", ") + scalar_text(Node::scalar(entry.key, true)) + ": " + flow(entry.value);
    return "{" + out + "}";
  }
  return scalar_text(node);
}

bool fits_on_a_line(const Node& node, size_t indent, size_t key_size) {
  if (is_flat(node)) return true;
  if (node.is_list()) {
    for (const Node& item : node.items)
      if (!is_flat(item)) return false;
    return true;
  }
  return node.entries.empty() || (indent > 0 && flow(node).size() + indent + key_size < 100);
}

void write_block(const Node& node, size_t indent, std::string& out) {
  const std::string margin(indent, ' ');
  if (node.is_list()) {
    for (const Node& item : node.items) out += margin + "- " + flow(item) + "\n";
    return;
  }
  for (const auto& entry : node.entries) {
    out += margin + scalar_text(Node::scalar(entry.key, true)) + ":";
    if (fits_on_a_line(entry.value, indent, entry.key.size())) {
      out += " " + flow(entry.value) + "\n";
    } else {
      out += "\n";
      write_block(entry.value, indent + 2, out);
    }
  }
}

std::string json_scalar(const Node& node) {
  if (node.is_null()) return "null";
  if (const auto value = node.as_bool()) return *value ? "true" : "false";
  if (const auto value = node.as_int()) return std::to_string(*value);
  if (const auto value = node.as_double(); value && std::isfinite(*value)) return Node::number(*value).text;
  return double_quoted(node.text);
}

}  // namespace

std::string write_yaml(const Node& node) {
  std::string out;
  if (is_flat(node) || (node.is_map() && node.entries.empty()) || (node.is_list() && node.items.empty()))
    return flow(node) + "\n";
  write_block(node, 0, out);
  return out;
}

std::string write_json(const Node& node) {
  std::string out;
  if (node.is_list()) {
    for (const Node& item : node.items) out += (out.empty() ? "" : ",") + write_json(item);
    return "[" + out + "]";
  }
  if (node.is_map()) {
    for (const auto& entry : node.entries)
      out += (out.empty() ? "" : ",") + double_quoted(entry.key) + ":" + write_json(entry.value);
    return "{" + out + "}";
  }
  return json_scalar(node);
}

}  // namespace mtrank
