// How libfyaml is used: event by event, because its own document trees cost three times the memory and refuse
// a document with a duplicate key. Its handles live in Parser and nowhere else.
#include "config/yaml.h"

#include <fmt/format.h>
#include <libfyaml.h>

#include <algorithm>
#include <map>
#include <memory>
#include <memory_resource>
#include <unordered_set>

namespace sockmesh::config::yaml {

const Node* Node::find(std::string_view key) const {
  if (kind != Kind::kMapping) return nullptr;
  const Node* found = nullptr;
  for (const Member& member : members) {
    if (member.key == key) found = member.value;
  }
  return found;
}

namespace {

struct ParserDeleter {
  void operator()(fy_parser* parser) const { fy_parser_destroy(parser); }
};
struct DiagDeleter {
  void operator()(fy_diag* diag) const { fy_diag_destroy(diag); }
};

// The events of one text at a time. Handles are kept from text to text while all goes well.
class Parser {
 public:
  class Event {
   public:
    Event(fy_parser* parser, fy_event* event) : parser_(parser), event_(event) {}
    Event(Event&&) = delete;
    ~Event() {
      if (event_) fy_parser_event_free(parser_, event_);
    }
    explicit operator bool() const { return event_ != nullptr; }
    fy_event* operator->() const { return event_; }
    fy_event* get() const { return event_; }

   private:
    fy_parser* parser_;
    fy_event* event_;
  };

  bool start(std::string_view text) {
    if (parser_ && fy_parser_reset(parser_.get()) != 0) parser_.reset();
    if (!parser_) {
      fy_diag_cfg diag_settings{};
      fy_diag_cfg_default(&diag_settings);
      diag_settings.fp = nullptr;
      diag_.reset(fy_diag_create(&diag_settings));
      if (!diag_) return false;
      fy_diag_set_collect_errors(diag_.get(), true);
      fy_parse_cfg settings{};
      settings.flags = static_cast<fy_parse_cfg_flags>(FYPCF_QUIET | FYPCF_COLLECT_DIAG |
                                                       FYPCF_SLOPPY_FLOW_INDENTATION | FYPCF_JSON_NONE);
      settings.diag = diag_.get();
      parser_.reset(fy_parser_create(&settings));
      if (!parser_) return false;
    }
    return fy_parser_set_string(parser_.get(), text.data(), text.size()) == 0;
  }

  Event next() { return Event(parser_.get(), fy_parser_parse(parser_.get())); }
  bool failed() const { return fy_parser_get_stream_error(parser_.get()); }

  // What libfyaml complains about first; its lines count from 1. The handles are not used again after an
  // error.
  Problem take_error(int first_line) {
    Problem problem{first_line, "not YAML"};
    void* at = nullptr;
    if (const fy_diag_error* error = diag_ ? fy_diag_errors_iterate(diag_.get(), &at) : nullptr) {
      problem.line = first_line + std::max(error->line - 1, 0);
      problem.text = fmt::format("not YAML: {}", error->msg ? error->msg : "unreadable");
    }
    abandon();
    return problem;
  }
  void abandon() {
    parser_.reset();
    diag_.reset();
  }

 private:
  std::unique_ptr<fy_diag, DiagDeleter> diag_;  // outlives the parser that writes into it
  std::unique_ptr<fy_parser, ParserDeleter> parser_;
};

bool is_null_word(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

// The tree of one document, built from events. Everything lives in one arena and dies with it.
class Builder {
 public:
  Builder(Parser& parser, int first_line) : parser_(parser), first_line_(first_line), line_(first_line) {}

  Document build(std::string_view text) {
    if (!parser_.start(text)) {
      document_.broken = parser_.take_error(first_line_);
      return std::move(document_);
    }
    while (!document_.broken) {
      const Parser::Event event = parser_.next();
      if (!event) break;
      if (event->type == FYET_STREAM_END) break;
      take(event.get());
    }
    if (!document_.broken && parser_.failed()) {
      document_.broken = parser_.take_error(first_line_);
    } else if (document_.broken) {
      parser_.abandon();  // stopped in the middle
    }
    if (document_.broken) document_.root = nullptr;
    return std::move(document_);
  }

 private:
  struct Open {  // a collection whose end has not come yet
    Node* node;
    std::vector<Member> members;
    std::string_view key;
    int key_line = 0;
    bool has_key = false;
  };

  void take(fy_event* event) {
    if (const fy_mark* mark = fy_event_start_mark(event)) line_ = first_line_ + mark->line;
    switch (event->type) {
      case FYET_SCALAR:
        return scalar(event->scalar);
      case FYET_ALIAS:
        return alias(event->alias.anchor);
      case FYET_MAPPING_START:
        return open(Node::Kind::kMapping, event->mapping_start.anchor);
      case FYET_SEQUENCE_START:
        return open(Node::Kind::kSequence, event->sequence_start.anchor);
      case FYET_MAPPING_END:
      case FYET_SEQUENCE_END:
        return close();
      default:
        return;
    }
  }

  void scalar(const fy_event_scalar_data& data) {
    Node* node = add_node(line_);
    if (!node) return;
    std::string_view text = text_of(data.value);
    const fy_scalar_style style = data.value ? fy_token_scalar_style(data.value) : FYSS_PLAIN;
    node->plain = style == FYSS_PLAIN && data.tag == nullptr;
    node->literal = style == FYSS_LITERAL;
    node->kind = node->plain && is_null_word(text) ? Node::Kind::kNull : Node::Kind::kScalar;
    node->text = text;
    if (!open_.empty() && open_.back().node->is_mapping() && !open_.back().has_key) {
      if (data.anchor) anchors_[std::string(text_of(data.anchor))] = node;
      open_.back().key = text;
      open_.back().key_line = line_;
      open_.back().has_key = true;
      return;
    }
    attach(node, data.anchor);
  }

  void alias(fy_token* anchor) {
    const std::string name(text_of(anchor));
    const auto found = anchors_.find(name);
    if (found == anchors_.end() || !found->second) {
      return give_up(fmt::format("'*{}': expected the name of an anchor that is complete above", name));
    }
    aliased_ += found->second->reach;
    if (aliased_ > kMaxAliasedNodes) {
      return give_up(fmt::format("'*{}': aliases stand for more than {} values", name, kMaxAliasedNodes));
    }
    if (!open_.empty() && open_.back().node->is_mapping() && !open_.back().has_key) {
      if (!found->second->is_scalar()) return give_up("a mapping key is a collection: expected text");
      open_.back().key = found->second->text;
      open_.back().key_line = line_;
      open_.back().has_key = true;
      return;
    }
    attach(found->second, nullptr);
  }

  void open(Node::Kind kind, fy_token* anchor) {
    if (!open_.empty() && open_.back().node->is_mapping() && !open_.back().has_key) {
      return give_up("a mapping key is a collection: expected text");
    }
    if (open_.size() >= static_cast<size_t>(kMaxDepth)) {
      return give_up(fmt::format("nested deeper than {} levels", kMaxDepth));
    }
    Node* node = add_node(line_);
    if (!node) return;
    node->kind = kind;
    attach(node, nullptr);
    open_.push_back({node, {}, {}});
    if (anchor) {
      open_anchors_.emplace_back(open_.size(), std::string(text_of(anchor)));
      anchors_[open_anchors_.back().second] = nullptr;  // known, but not complete: no cycles
    }
  }

  void close() {
    if (open_.empty()) return give_up("unbalanced collection");
    Open& top = open_.back();
    if (top.node->is_mapping()) settle_keys(top);
    auto* members = static_cast<Member*>(
        arena_.allocate(std::max(top.members.size(), size_t{1}) * sizeof(Member), alignof(Member)));
    std::uninitialized_copy(top.members.begin(), top.members.end(), members);
    top.node->members = {members, top.members.size()};
    for (const Member& member : top.members) top.node->reach += member.value->reach;
    while (!open_anchors_.empty() && open_anchors_.back().first == open_.size()) {
      anchors_[open_anchors_.back().second] = top.node;
      open_anchors_.pop_back();
    }
    open_.pop_back();
  }

  // Duplicate keys are told (kubectl's server refuses them), merge keys ("<<") become what they stand for.
  void settle_keys(Open& mapping) {
    std::unordered_set<std::string_view> seen;
    std::vector<Member> merged;
    for (const Member& member : mapping.members) {
      if (member.key.starts_with("\xc2\xa0")) {  // copied from a web page: looks indented, is not
        document_.remarks.push_back(
            {member.line,
             fmt::format("'{}': a no-break space (U+00A0) in front: expected blanks as indentation",
                         member.key)});
      }
      if (member.key == "<<" && (member.value->is_mapping() || member.value->is_sequence())) {
        merged.push_back(member);
      } else if (!seen.insert(member.key).second) {
        document_.remarks.push_back(
            {member.line, fmt::format("'{}': the key is there twice, the last one counts", member.key)});
      }
    }
    if (merged.empty()) return;
    std::erase_if(mapping.members, [](const Member& member) { return member.key == "<<"; });
    const auto add_from = [&](const Node& source) {
      for (const Member& member : source.members) {
        if (source.is_mapping() && seen.insert(member.key).second) mapping.members.push_back(member);
      }
    };
    for (const Member& merge : merged) {
      if (merge.value->is_mapping()) {
        add_from(*merge.value);
      } else {
        for (const Member& source : merge.value->members) add_from(*source.value);
      }
    }
  }

  void attach(Node* node, fy_token* anchor) {
    if (anchor) anchors_[std::string(text_of(anchor))] = node;
    if (open_.empty()) {
      document_.root = node;
      return;
    }
    Open& top = open_.back();
    top.members.push_back(
        {top.has_key ? top.key : std::string_view(), top.has_key ? top.key_line : node->line, node});
    top.has_key = false;
  }

  Node* add_node(int line) {
    if (++nodes_ > kMaxNodes) {
      give_up(fmt::format("more than {} values in one document", kMaxNodes));
      return nullptr;
    }
    Node* node = new (arena_.allocate(sizeof(Node), alignof(Node))) Node;
    node->line = line;
    return node;
  }

  // A copy that lives as long as the tree.
  std::string_view text_of(fy_token* token) {
    if (!token) return {};
    size_t length = 0;
    const char* text = fy_token_get_text(token, &length);
    if (!text || length == 0) return {};
    char* copy = static_cast<char*>(arena_.allocate(length, 1));
    std::copy_n(text, length, copy);
    return {copy, length};
  }

  void give_up(std::string text) { document_.broken = Problem{line_, std::move(text)}; }

  Parser& parser_;
  const int first_line_;
  int line_;  // of the last event that had one
  std::pmr::monotonic_buffer_resource arena_{16 * 1024};
  Document document_;
  std::vector<Open> open_;
  std::map<std::string, Node*, std::less<>> anchors_;         // null while the anchored collection is open
  std::vector<std::pair<size_t, std::string>> open_anchors_;  // depth after opening, name
  uint64_t aliased_ = 0;
  uint32_t nodes_ = 0;
};

// How many bytes follow the first one of a character; nothing when it cannot be a first byte.
std::optional<size_t> continuation_bytes(unsigned char first) {
  if (first == 0) return std::nullopt;  // NUL is no text
  if (first < 0x80) return 0;
  if (first >= 0xc2 && first < 0xe0) return 1;
  if (first >= 0xe0 && first < 0xf0) return 2;
  if (first >= 0xf0 && first < 0xf5) return 3;
  return std::nullopt;
}

// The line (from 0) of the first byte that is not UTF-8 text. libfyaml would take the text to end there.
std::optional<int> bad_byte_line(std::string_view text) {
  int line = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') ++line;
    const auto more = continuation_bytes(static_cast<unsigned char>(text[i]));
    if (!more || text.size() - i <= *more) return line;
    for (size_t k = 0; k < *more; ++k) {
      if ((static_cast<unsigned char>(text[++i]) & 0xc0) != 0x80) return line;
    }
  }
  return std::nullopt;
}

bool is_marker(std::string_view line, std::string_view marker) {
  return line.starts_with(marker) && (line.size() == marker.size() || line[marker.size()] == ' ' ||
                                      line[marker.size()] == '\t' || line[marker.size()] == '\r');
}

// Nothing but blanks, comments, directives and the marker itself.
bool has_content(std::string_view line) {
  if (is_marker(line, "---")) line.remove_prefix(3);
  const size_t first = line.find_first_not_of(" \t\r");
  return first != std::string_view::npos && line[first] != '#' && line[0] != '%';
}

}  // namespace

void read_documents(std::string_view text, int first_line, const std::function<void(const Document&)>& each) {
  const auto refuse = [&](int line, std::string why) {
    Document document;
    document.broken = Problem{line, std::move(why)};
    each(document);
  };
  if (text.size() > kMaxText) {
    return refuse(first_line, fmt::format("{} bytes: expected at most {}", text.size(), kMaxText));
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (const auto line = bad_byte_line(text)) return refuse(first_line + *line, "expected UTF-8 text");

  Parser parser;
  size_t begin = 0;  // of the document being collected
  int begin_line = first_line;
  bool content = false;  // it has some
  const auto finish = [&](size_t end) {
    if (!content) return;
    content = false;
    Builder builder(parser, begin_line);
    each(builder.build(text.substr(begin, end - begin)));
  };
  int line_number = first_line;
  for (size_t at = 0; at < text.size(); ++line_number) {
    const size_t newline = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, newline - at);
    const size_t next = std::min(newline + 1, text.size());
    const bool starts = is_marker(line, "---"), ends = is_marker(line, "...");
    if (starts || ends) {
      finish(at);
      begin = starts ? at : next;
      begin_line = starts ? line_number : line_number + 1;
    } else if (!content && !line.empty() && line[0] == '%') {
      begin = next;  // a directive: none changes what a manifest means
      begin_line = line_number + 1;
    }
    if (!ends && !content) content = !line.empty() && has_content(line);
    at = next;
  }
  finish(text.size());
}

}  // namespace sockmesh::config::yaml
