#include "framework/config/tree.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace mtrank {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxExtends = 16;
constexpr size_t kMaxBraces = 10'000;

bool is_name(std::string_view text) {
  const auto ok = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') && std::all_of(text.begin(), text.end(), ok);
}

std::string expanded(const Node& node, Diagnostics& d) {
  const std::string& text = node.text;
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text.compare(i, 3, "$${") == 0) {
      out += "${";
      i += 3;
      continue;
    }
    if (text.compare(i, 2, "${") != 0) {
      out += text[i++];
      continue;
    }
    const size_t end = text.find('}', i);
    if (end == std::string::npos) {
      d.error(Code::malformed, node.at, "`${` without `}`", "write ${NAME} or ${NAME:-default}; `$${` stands for `${`");
      return text;
    }
    const std::string inside = text.substr(i + 2, end - i - 2);
    if (inside.find("${") != std::string::npos) {
      d.error(Code::malformed, node.at, "`${` inside `${...}`: variables do not nest",
              "write ${NAME} or ${NAME:-default}; `$${` stands for `${`");
      return text;
    }
    const size_t colon = inside.find(":-");
    const std::string name = inside.substr(0, colon);
    const char* value = is_name(name) ? std::getenv(name.c_str()) : nullptr;
    if (!is_name(name))
      d.error(Code::malformed, node.at, "`" + name + "` is no name of an environment variable",
              "write ${NAME} or ${NAME:-default}");
    else if (colon == std::string::npos && !value)
      d.error(Code::undefined_variable, node.at, "the environment variable `" + name + "` is not set",
              "set it, or give a default: ${" + name + ":-default}");
    if (value && (*value || colon == std::string::npos))
      out += value;
    else if (colon != std::string::npos)
      out += inside.substr(colon + 2);
    i = end + 1;
  }
  return out;
}

class Loader {
 public:
  explicit Loader(Diagnostics& d) : d_(d) {}

  Node load(const std::string& text, const std::string& path) {
    Node node = parse_yaml(text, path, d_);
    if (node.is_null() && d_.ok()) d_.error(Code::syntax, node.at, "the config is empty");
    if (!node.is_map()) {
      if (!node.is_null()) d_.error(Code::wrong_type, node.at, "a config is a map of sections, found " + node.spoken());
      return Node::map();
    }
    expand_variables(node, d_);
    const Node* extends = node.find("extends");
    if (!extends) return node;
    Node base = extends->is_null() ? Node::map() : load_base(*extends, path);
    node.erase("extends");
    return merge_trees(std::move(base), node);
  }

 private:
  Node load_base(const Node& extends, const std::string& path) {
    if (!extends.is_scalar()) {
      d_.error(Code::bad_extends, extends.at, "`extends` takes the path of one file, found " + extends.spoken());
      return Node::map();
    }
    const std::string base = (fs::path(path).parent_path() / extends.text).lexically_normal().string();
    std::error_code ignored;
    const std::string self = fs::weakly_canonical(path, ignored).string();
    const std::string key = fs::weakly_canonical(base, ignored).string();
    if (key == self || std::find(chain_.begin(), chain_.end(), key) != chain_.end() || chain_.size() >= kMaxExtends) {
      d_.error(Code::bad_extends, extends.at, "`" + extends.text + "` extends itself, directly or through other files");
      return Node::map();
    }
    const auto text = read_config_file(base, extends.at, d_);
    if (!text) return Node::map();
    chain_.push_back(self);
    Node out = load(*text, base);
    chain_.pop_back();
    return out;
  }

  Diagnostics& d_;
  std::vector<std::string> chain_;
};

void move(Location& at, const std::shared_ptr<const Source>& source, int shift) {
  if (at.line == 1) at.column += shift;
  at.source = source;
}

void move_to(Node& node, const std::shared_ptr<const Source>& source, int shift) {
  move(node.at, source, shift);
  node.from_override = true;
  for (Node& item : node.items) move_to(item, source, shift);
  for (Node::Entry& entry : node.entries) {
    move(entry.at, source, shift);
    move_to(entry.value, source, shift);
  }
}

std::vector<std::string> keys_of(const Node& node) {
  std::vector<std::string> out;
  for (const Node::Entry& entry : node.entries) out.push_back(entry.key);
  return out;
}

void apply_override(const std::string& text, LoadedTree& loaded, Diagnostics& d) {
  const auto source = std::make_shared<Source>(Source{"--set", text});
  const size_t equals = text.find('=');
  const Location whole{source, 1, 1, static_cast<int>(text.size())};
  if (equals == std::string::npos || equals == 0)
    return d.error(Code::bad_override, whole, "an override has the form key=value", "such as train.batch_size=8192");
  Diagnostics problems;
  Node value = parse_yaml(std::string_view(text).substr(equals + 1), "--set", problems);
  for (Diagnostic& one : problems.sorted()) {
    move(one.at, source, static_cast<int>(equals) + 1);
    d.error(one.code, one.at, one.message, one.help);
  }
  if (!problems.ok()) return;
  if (equals + 1 == text.size())
    return d.error(Code::bad_override, whole, "an override needs a value",
                   "`=null` removes a key, `=\"\"` is the empty text");
  move_to(value, source, static_cast<int>(equals) + 1);
  expand_variables(value, d);

  const std::string path = text.substr(0, equals);
  Node* node = &loaded.tree;
  for (size_t start = 0;;) {
    const size_t dot = path.find('.', start);
    const bool last = dot == std::string::npos;
    const std::string key = path.substr(start, last ? dot : dot - start);
    const Location at{source, 1, static_cast<int>(start) + 1, static_cast<int>(std::max<size_t>(key.size(), 1))};
    if (key.empty()) return d.error(Code::bad_override, at, "a key of the override is empty");
    if (!node->is_map() && !node->is_null())
      return d.error(Code::bad_override, at,
                     "`" + path.substr(0, start - 1) + "` is " + node->spoken() + " and has no keys",
                     "override it as a whole: " + path.substr(0, start - 1) + "={...}");
    if (value.is_null() && !node->find(key))
      return d.error(Code::bad_override, at, "there is no `" + key + "` to remove",
                     suggestion(key, keys_of(*node), "keys here"));
    if (last && value.is_null()) {
      node->erase(key);
      loaded.removed.emplace_back(path, at);
      return;
    }
    if (!node->find(key)) {
      Node fresh = last ? Node{} : Node::map();
      fresh.at = at;
      node->set(key, std::move(fresh));
      node->entries.back().at = at;
    }
    node = node->find(key);
    if (last) break;
    start = dot + 1;
  }
  *node = std::move(value);
}

}  // namespace

std::optional<std::string> read_config_file(const std::string& path, const Location& from, Diagnostics& d) {
  std::error_code error;
  const auto status = fs::status(path, error);
  std::string why;
  if (!fs::exists(status))
    why = "there is no such file";
  else if (fs::is_directory(status))
    why = "it is a directory";
  std::ifstream file(path, std::ios::binary);
  if (why.empty() && !file) why = "it cannot be opened";
  if (!why.empty()) {
    d.error(Code::unreadable, from, "cannot read `" + path + "`: " + why);
    return std::nullopt;
  }
  // One byte over the limit of parse_yaml is enough for it to refuse.
  std::string text(kMaxConfigBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  if (file.bad()) {
    d.error(Code::unreadable, from, "cannot read `" + path + "`: reading failed");
    return std::nullopt;
  }
  return text;
}

Node merge_trees(Node base, const Node& above) {
  if (!base.is_map() || !above.is_map()) return above;
  const Node *old_type = base.find("type"), *new_type = above.find("type");
  if (old_type && new_type && !old_type->same_value(*new_type)) return above;
  for (const Node::Entry& entry : above.entries) {
    Node* old = base.find(entry.key);
    if (!old) {
      base.entries.push_back(entry);
    } else if (entry.value.is_null()) {
      base.erase(entry.key);
    } else {
      Node merged = merge_trees(std::move(*old), entry.value);
      *old = std::move(merged);
      for (Node::Entry& mine : base.entries)
        if (mine.key == entry.key) mine.at = entry.at;
    }
  }
  base.at = above.at;
  return base;
}

void expand_variables(Node& node, Diagnostics& d) {
  if (node.is_scalar() && node.text.find("${") != std::string::npos) {
    node.text = expanded(node, d);
    if (node.text.empty()) node.quoted = true;
  }
  for (Node& item : node.items) expand_variables(item, d);
  for (Node::Entry& entry : node.entries) expand_variables(entry.value, d);
}

std::optional<std::string> expand_braces(const std::string& text, std::vector<std::string>& out) {
  const size_t open = text.find('{'), dots = text.find("..", open), close = text.find('}', dots);
  if (open == std::string::npos && text.find('}') == std::string::npos) return out.push_back(text), std::nullopt;
  if (dots == std::string::npos || close == std::string::npos) return "`{` without `..` and `}`: write c{0..17}";
  if (std::count(text.begin(), text.end(), '{') + std::count(text.begin(), text.end(), '}') != 2)
    return "one pair of braces expands, found more";
  size_t first = 0, last = 0;
  const auto read = [&](size_t begin, size_t end, size_t& value) {
    const auto result = std::from_chars(text.data() + begin, text.data() + end, value);
    return result.ec == std::errc() && result.ptr == text.data() + end && begin < end;
  };
  if (!read(open + 1, dots, first) || !read(dots + 2, close, last)) return "braces take two whole numbers: c{0..17}";
  if (last < first || last - first >= kMaxBraces)
    return "braces need a first number below the last, and at most 10000 of them";
  for (size_t i = first; i <= last; ++i)
    out.push_back(text.substr(0, open) + std::to_string(i) + text.substr(close + 1));
  return std::nullopt;
}

LoadedTree load_tree(const std::string& text, const std::string& path, const std::vector<std::string>& overrides,
                     Diagnostics& d) {
  LoadedTree loaded;
  loaded.tree = Loader(d).load(text, path);
  loaded.without_overrides = loaded.tree;
  for (const std::string& one : overrides) apply_override(one, loaded, d);
  return loaded;
}

}  // namespace mtrank
