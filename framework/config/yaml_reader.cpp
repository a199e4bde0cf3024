#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "framework/config/diagnostics.h"
#include "framework/config/node.h"

namespace mtrank {
namespace {

constexpr size_t kMaxNodes = 400'000;
constexpr size_t kMaxTextBytes = 4 * kMaxConfigBytes;  // after aliases are expanded
constexpr size_t kMaxDepth = 64;

/// Thrown out of the parser once an error that leaves nothing to go on with has been reported.
struct GiveUp {};

/// Length of the UTF-8 sequence at `i`, 0 when it is not valid (overlong, surrogate, too large, cut off).
size_t utf8_length(std::string_view s, size_t i) {
  const auto byte = [&](size_t k) { return i + k < s.size() ? static_cast<unsigned char>(s[i + k]) : 0u; };
  const auto tail = [&](size_t k) { return (byte(k) & 0xC0u) == 0x80u; };
  const unsigned b = byte(0);
  if (b < 0x80) return 1;
  if (b >= 0xC2 && b <= 0xDF) return tail(1) ? 2 : 0;
  if (b >= 0xE0 && b <= 0xEF) {
    const bool bad = (b == 0xE0 && byte(1) < 0xA0) || (b == 0xED && byte(1) > 0x9F);
    return tail(1) && tail(2) && !bad ? 3 : 0;
  }
  if (b >= 0xF0 && b <= 0xF4) {
    const bool bad = (b == 0xF0 && byte(1) < 0x90) || (b == 0xF4 && byte(1) > 0x8F);
    return tail(1) && tail(2) && tail(3) && !bad ? 4 : 0;
  }
  return 0;
}

int code_points(std::string_view s) {
  int count = 0;
  for (const char c : s) count += (static_cast<unsigned char>(c) & 0xC0u) != 0x80u;
  return count;
}

/// Turns byte positions of one source into locations.
class Positions {
 public:
  explicit Positions(std::shared_ptr<const Source> source) : source_(std::move(source)) {
    starts_.push_back(0);
    for (size_t i = 0; i < source_->text.size(); ++i)
      if (source_->text[i] == '\n') starts_.push_back(i + 1);
  }
  Location at(int line, int byte_column, int length = 1) const {
    line = std::clamp(line, 0, static_cast<int>(starts_.size()) - 1);
    const std::string_view rest = tail(line, 0);
    const size_t bytes = std::min<size_t>(static_cast<size_t>(std::max(byte_column, 0)), rest.size());
    return {source_, line + 1, code_points(rest.substr(0, bytes)) + 1, std::max(length, 1)};
  }
  Location at(const YAML::Mark& mark, int length = 1) const { return at(mark.line, mark.column, length); }
  /// What stands on `line` from `byte_column` to its end.
  std::string_view tail(int line, int byte_column) const {
    if (line < 0 || static_cast<size_t>(line) >= starts_.size()) return {};
    const std::string_view text = source_->text;
    const size_t begin = starts_[static_cast<size_t>(line)] + static_cast<size_t>(byte_column);
    if (begin >= text.size()) return {};
    size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size();
    if (end > begin && text[end - 1] == '\r') --end;
    return text.substr(begin, end - begin);
  }
  size_t offset(int line, int byte_column) const {
    line = std::clamp(line, 0, static_cast<int>(starts_.size()) - 1);
    return starts_[static_cast<size_t>(line)] + static_cast<size_t>(std::max(byte_column, 0));
  }
  const std::string& text() const { return source_->text; }
  size_t lines() const { return starts_.size(); }

 private:
  std::shared_ptr<const Source> source_;
  std::vector<size_t> starts_;
};

/// Builds the tree from yaml-cpp's events, checking what its own loader lets pass.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const Positions& positions, Diagnostics& diagnostics)
      : positions_(positions), diagnostics_(diagnostics) {}

  /// The first document, a null node where it was not read to its end.
  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ == 0) return;
    const bool marked = positions_.tail(mark.line, mark.column).starts_with("---");
    fail(Code::second_document, mark, "a second YAML document starts here",
         marked ? "a config is one document: remove the `---`" : "where a text is meant, quote all of it");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    const std::string_view rest = positions_.tail(mark.line, mark.column);
    // A null keeps its text for what is said about it.
    for (const std::string_view word : {"null", "Null", "NULL", "~"})
      if (rest.starts_with(word) && (rest.size() == word.size() || std::strchr(" \t,]}", rest[word.size()])))
        node.text = word;
    node.at = positions_.at(mark, std::max(1, code_points(node.text)));
    done(std::move(node), anchor, mark);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      diagnostics_.error(Code::bad_anchor, positions_.at(mark), "this alias stands inside the value it names",
                         "a config cannot contain itself: write the value out");
      return OnNull(mark, 0);
    }
    Node copy = found->second.node;
    spend(found->second.nodes - 1, found->second.bytes, mark);
    done(std::move(copy), 0, mark);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(tag, mark);
    Node node = Node::scalar(value, tag == "!");
    if (node.quoted && !is_closed(mark))
      diagnostics_.error(Code::syntax, positions_.at(mark), "not valid YAML: the quote that opens here is never closed",
                         "close it");
    node.at = positions_.at(mark, span_of(mark, value, node.quoted));
    spend(0, value.size(), mark);
    done(std::move(node), anchor, mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::list(), mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::map(), mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    YAML::anchor_t anchor;
    YAML::Mark mark;
    size_t nodes_before, bytes_before;
    bool has_key = false, skip_value = false;
    Node::Entry entry{};
    std::unordered_map<std::string, int> lines{};  // of the keys seen
  };
  struct Anchored {
    Node node;
    size_t nodes, bytes;
  };

  [[noreturn]] void fail(Code code, const YAML::Mark& mark, std::string message, std::string help) {
    diagnostics_.error(code, positions_.at(mark), std::move(message), std::move(help));
    throw GiveUp{};
  }

  void spend(size_t nodes, size_t bytes, const YAML::Mark& mark) {
    nodes_ += nodes;
    bytes_ += bytes;
    if (nodes_ > kMaxNodes || bytes_ > kMaxTextBytes)
      fail(Code::too_big, mark, "the config has more than " + std::to_string(kMaxNodes) + " values here",
           "aliases that repeat aliases multiply: write the values out");
  }

  void check_tag(const std::string& tag, const YAML::Mark& mark) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    diagnostics_.error(Code::unsupported_yaml, positions_.at(mark),
                       "tags such as `" + tag + "` are not used in configs",
                       "remove the tag; quote a value to make it text");
  }

  void open(Node node, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    check_tag(tag, mark);
    if (stack_.size() >= kMaxDepth)
      fail(Code::too_big, mark, "nested deeper than " + std::to_string(kMaxDepth) + " levels", "no config needs that");
    node.at = positions_.at(mark);
    stack_.push_back(Frame{std::move(node), anchor, mark, nodes_, bytes_});
  }

  void close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    // The closing value's own node is counted by done(), after its anchor is stored.
    const size_t nodes = nodes_ - frame.nodes_before + 1, bytes = bytes_ - frame.bytes_before;
    if (frame.anchor) anchors_[frame.anchor] = {frame.node, nodes, bytes};
    done(std::move(frame.node), 0, frame.mark);
  }

  void done(Node node, YAML::anchor_t anchor, const YAML::Mark& mark) {
    spend(1, 0, mark);
    if (anchor) anchors_[anchor] = {node, 1, node.text.size()};
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.is_list()) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.has_key) {
      start_entry(frame, std::move(node));
    } else {
      frame.has_key = false;
      // Where nothing is written, yaml-cpp is at what comes next.
      if (node.is_null() && node.text.empty()) node.at = frame.entry.at;
      frame.entry.value = std::move(node);
      if (!frame.skip_value) frame.node.entries.push_back(std::move(frame.entry));
    }
  }

  void start_entry(Frame& frame, Node key) {
    frame.has_key = true;
    frame.skip_value = true;
    frame.entry = {key.text, key.at, {}};
    if (!key.is_scalar()) {
      diagnostics_.error(Code::unsupported_yaml, key.at, "a key must be text, found " + key.spoken());
    } else if (key.text == "<<" && !key.quoted) {
      diagnostics_.error(Code::unsupported_yaml, key.at, "merge keys (`<<`) are not part of YAML 1.2",
                         "use `extends: base.yaml`, or repeat the keys");
    } else if (const auto [first, fresh] = frame.lines.try_emplace(key.text, key.at.line); !fresh) {
      diagnostics_.error(Code::duplicate_key, key.at, "`" + key.text + "` is given twice",
                         "it stands on line " + std::to_string(first->second) + " already: remove one of them");
    } else {
      frame.skip_value = false;
    }
  }

  int span_of(const YAML::Mark& mark, const std::string& value, bool quoted) const {
    const std::string_view line = positions_.tail(mark.line, mark.column);
    if (line.empty()) return 1;
    if (!quoted) return line.starts_with(value) ? code_points(value) : 1;
    const char quote = line.front();
    if (quote != '"' && quote != '\'') return 1;
    for (size_t i = 1; i < line.size(); ++i) {
      if (quote == '"' && line[i] == '\\')
        ++i;
      else if (line[i] == quote)
        return code_points(line.substr(0, i + 1));
    }
    return code_points(line);
  }

  /// yaml-cpp takes the end of the text for a closing quote.
  bool is_closed(const YAML::Mark& mark) const {
    std::string_view rest = positions_.text();
    rest.remove_prefix(std::min(rest.size(), positions_.offset(mark.line, mark.column)));
    while (rest.starts_with('&') || rest.starts_with('!')) {
      rest.remove_prefix(std::min(rest.find_first_of(" \t\r\n"), rest.size()));
      rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
    }
    const char quote = rest.empty() ? '|' : rest.front();
    if (quote != '"' && quote != '\'') return true;  // a block
    for (size_t i = 1; i < rest.size(); ++i) {
      if (quote == '"' && rest[i] == '\\')
        ++i;
      else if (rest[i] == quote && quote == '\'' && i + 1 < rest.size() && rest[i + 1] == quote)
        ++i;
      else if (rest[i] == quote)
        return true;
    }
    return false;
  }

  const Positions& positions_;
  Diagnostics& diagnostics_;
  Node root_;
  std::vector<Frame> stack_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
  size_t nodes_ = 0, bytes_ = 0;
  int documents_ = 0;
};

/// What must hold before yaml-cpp sees the text.
bool text_is_sound(const Positions& positions, Diagnostics& diagnostics) {
  const std::string& text = positions.text();
  if (text.size() > kMaxConfigBytes) {
    diagnostics.error(
        Code::too_big, positions.at(0, 0),
        "the config is " + std::to_string(text.size()) + " bytes, more than " + std::to_string(kMaxConfigBytes));
    return false;
  }
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    diagnostics.error(Code::not_utf8, positions.at(0, 0), "the file is UTF-16", "save the file as UTF-8 text");
    return false;
  }
  int line = 0;
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    const auto c = static_cast<unsigned char>(text[i]);
    const bool control = (c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7F;
    if (length == 0 || control) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "0x%02X", c);
      diagnostics.error(Code::not_utf8, positions.at(line, static_cast<int>(i - start)),
                        std::string("byte ") + hex + (control ? " is a control character" : " is not valid UTF-8"),
                        "save the file as UTF-8 text");
      return false;
    }
    if (c == '\n') ++line, start = i + 1;
    i += length;
  }
  return true;
}

/// Tells off tabs in the indentation and makes each of them a space, so that the rest can be read.
bool replace_tabs(const Positions& positions, std::string& text, Diagnostics& diagnostics) {
  bool found = false;
  for (size_t n = 0; n < positions.lines(); ++n) {
    const std::string_view content = positions.tail(static_cast<int>(n), 0);
    const size_t first = content.find_first_not_of(" \t");
    const size_t tab = content.find('\t');
    if (first == std::string_view::npos || content[first] == '#' || tab == std::string_view::npos || tab > first)
      continue;
    diagnostics.error(Code::tab, positions.at(static_cast<int>(n), static_cast<int>(tab)),
                      "YAML does not allow tabs in the indentation", "indent with spaces");
    const size_t begin = positions.offset(static_cast<int>(n), 0);
    std::replace(text.begin() + static_cast<std::ptrdiff_t>(begin),
                 text.begin() + static_cast<std::ptrdiff_t>(begin + first), '\t', ' ');
    found = true;
  }
  return found;
}

/// What yaml-cpp has to say against the text; what it read before stays in `builder`.
std::optional<YAML::Exception> read_documents(const std::string& text, TreeBuilder& builder) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const GiveUp&) {
  } catch (const YAML::Exception& e) {
    return e;
  }
  return std::nullopt;
}

/// Where the `*` stands, npos when the problem is another.
size_t undefined_alias(const Positions& positions, const YAML::Exception& e) {
  using namespace YAML::ErrorMsg;
  const auto is = [&](const char* message) { return e.msg.starts_with(message); };
  if (!is(UNKNOWN_ANCHOR) && !is(ALIAS_NOT_FOUND) && !is(CHAR_IN_ALIAS)) return std::string::npos;
  const size_t begin = positions.offset(e.mark.line, 0);
  const std::string_view line = positions.tail(e.mark.line, 0);
  const size_t star = line.substr(0, static_cast<size_t>(std::max(e.mark.column, 0)) + 1).rfind('*');
  return star == std::string_view::npos ? std::string::npos : begin + star;
}

void report_alias(const Positions& positions, int line, size_t star, Diagnostics& diagnostics) {
  const int column = static_cast<int>(star - positions.offset(line, 0));
  const std::string_view rest = positions.tail(line, column);
  const std::string text(rest.substr(0, rest.find_first_of(" \t,]}")));
  diagnostics.error(Code::bad_anchor, positions.at(line, column, code_points(text)),
                    "`" + text + "` is an alias in YAML, and nothing before it has that anchor",
                    "quote a text that begins with `*`: \"" + text + "\"");
}

void report_syntax(const Positions& positions, const YAML::Exception& e, Diagnostics& diagnostics) {
  const std::string_view line = positions.tail(e.mark.line, 0);
  const char* help = "";
  if (e.msg.starts_with(YAML::ErrorMsg::EOF_IN_SCALAR))
    help = "close the quote";
  else if (line.find("${") != std::string_view::npos)
    help = "inside { } and [ ] quote a value with ${...}";
  else if (line.find("..") != std::string_view::npos && line.find('{') != std::string_view::npos)
    help = "inside { } and [ ] quote a name with braces: \"c{0..17}\"";
  diagnostics.error(Code::syntax, positions.at(e.mark), "not valid YAML: " + e.msg, help);
}

}  // namespace

Node parse_yaml(std::shared_ptr<const Source> source, Diagnostics& diagnostics) {
  if (source->text.starts_with("\xEF\xBB\xBF"))
    source = std::make_shared<Source>(Source{source->name, source->text.substr(3)});
  const Positions positions(source);
  if (!text_is_sound(positions, diagnostics)) return {};
  std::string text = source->text;
  const bool tabs = replace_tabs(positions, text, diagnostics);
  for (int aliases = 0;; ++aliases) {
    Diagnostics found;
    TreeBuilder builder(positions, found);
    const auto problem = read_documents(text, builder);
    // An alias of nothing is most often a glob: what else is wrong shows when it is read as text.
    const size_t star = problem ? undefined_alias(positions, *problem) : std::string::npos;
    if (star != std::string::npos) report_alias(positions, problem->mark.line, star, diagnostics);
    if (star != std::string::npos && aliases < 50) {
      text[star] = '_';
      continue;
    }
    // With a tab the lines may not stand where they were meant to: a syntax error would be one more about the same.
    if (problem && star == std::string::npos && !tabs) report_syntax(positions, *problem, found);
    if (!problem || !tabs)
      for (const Diagnostic& one : found.sorted()) diagnostics.error(one.code, one.at, one.message, one.help);
    Node root = builder.take();
    if (!root.at.known()) root.at = positions.at(0, 0);
    return root;
  }
}

Node parse_yaml(std::string_view text, const std::string& name, Diagnostics& diagnostics) {
  return parse_yaml(std::make_shared<Source>(Source{name, std::string(text)}), diagnostics);
}

}  // namespace mtrank
