// How libfyaml is used: event by event, because its own document trees cost three times the memory and refuse
// a document with a duplicate key. Its handles live in Parser and nowhere else.
#include "config/manifest/yaml.h"

#include <fmt/format.h>
#include <libfyaml.h>

#include <algorithm>
#include <map>
#include <memory>
#include <memory_resource>
#include <unordered_set>

#include "base/utf8.h"

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
struct TextDeleter {
  void operator()(fy_token_iter* iterator) const { fy_token_iter_destroy(iterator); }
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
  // Puts the text of a token together from its pieces, and checks them against the length that the scanner
  // counted: two quotes in a row within single quotes give pieces that are too long (libfyaml 0.7.12). Not by
  // fy_token_get_text(), which then returns the wrong bytes and leaks those that did not fit.
  bool text_of(fy_token* token, std::string& text) {
    text.clear();
    if (!text_) text_.reset(fy_token_iter_create(nullptr));
    if (!text_) return false;
    fy_token_iter_start(token, text_.get());
    int error = 0;
    const fy_iter_chunk* chunk = nullptr;
    while ((chunk = fy_token_iter_chunk_next(text_.get(), chunk, &error)) != nullptr)
      text.append(chunk->str, chunk->len);
    fy_token_iter_finish(text_.get());
    return error == 0 && text.size() == fy_token_get_text_length(token);
  }
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
  std::unique_ptr<fy_token_iter, TextDeleter> text_;
};

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_null_word(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

constexpr size_t kShown = 80;  // bytes of a name that a message quotes

// The tree of one document, built from events. Everything lives in one arena and dies with it.
class Builder {
 public:
  // `text` holds something else than comments, so there has to be a value in it.
  Builder(Parser& parser, std::string_view text, int first_line)
      : parser_(parser), text_(text), first_line_(first_line), line_(first_line) {}

  Document build() {
    if (!parser_.start(text_)) {
      document_.broken = parser_.take_error(first_line_);
    } else {
      take_all();
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

  void take_all() {
    bool ended = false;
    while (!document_.broken && !ended) {
      const Parser::Event event = parser_.next();
      if (!event) break;
      ended = event->type == FYET_STREAM_END;
      take(event.get());
    }
    if (document_.broken) return parser_.abandon();  // stopped in the middle
    if (parser_.failed()) {
      document_.broken = parser_.take_error(first_line_);
    } else if (!ended || stopped_at_ < text_.size()) {
      // Whatever made it stop: what comes behind would be missing from the configuration.
      give_up("not YAML: it ends in the middle of the text");
      parser_.abandon();
    } else if (!document_.root || !open_.empty()) {
      give_up("not YAML: expected a value, found none");
      parser_.abandon();
    }
  }

  void take(fy_event* event) {
    if (const fy_mark* mark = fy_event_start_mark(event)) {
      line_ = first_line_ + mark->line;
      if (event->type == FYET_STREAM_END) stopped_at_ = mark->input_pos;
    }
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
      return give_up(fmt::format("'*{}': expected the name of an anchor that is complete above",
                                 printable(name, kShown)));
    }
    if (!account_copies(found->second->reach, fmt::format("'*{}': aliases stand", printable(name, kShown))))
      return;
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

  // Whether there may be so many values more that are there twice, by an alias or a merge key.
  bool account_copies(uint64_t count, std::string_view who) {
    copies_ += count;
    if (copies_ > kMaxAliasedNodes) give_up(fmt::format("{} for more than {} values", who, kMaxAliasedNodes));
    return copies_ <= kMaxAliasedNodes;
  }

  void remark(int line, std::string text) {
    if (document_.remarks.size() == kMaxRemarks) {
      ++document_.unlisted_remarks;
    } else {
      document_.remarks.push_back({line, std::move(text)});
    }
  }

  // Duplicate keys are told (kubectl's server refuses them), merge keys ("<<") become what they stand for.
  void settle_keys(Open& mapping) {
    std::unordered_set<std::string_view> seen;
    std::vector<Member> merged;
    for (const Member& member : mapping.members) {
      if (member.key.starts_with("\xc2\xa0")) {  // copied from a web page: looks indented, is not
        remark(member.line,
               fmt::format("'{}': a no-break space (U+00A0) in front: expected blanks as indentation",
                           printable(member.key, kShown)));
      } else if (member.key.starts_with(kByteOrderMark)) {  // files put one behind the other
        remark(member.line, fmt::format("'{}': a byte order mark (U+FEFF) in front: expected it at the start "
                                        "of a document only",
                                        printable(member.key, kShown)));
      }
      if (member.key == "<<" && (member.value->is_mapping() || member.value->is_sequence())) {
        merged.push_back(member);
      } else if (!seen.insert(member.key).second) {
        remark(member.line, fmt::format("'{}': the key is there twice, the last one counts",
                                        printable(member.key, kShown)));
      }
    }
    if (merged.empty()) return;
    std::erase_if(mapping.members, [](const Member& member) { return member.key == "<<"; });
    const auto add_from = [&](const Node& source) {
      if (!account_copies(source.members.size(), "'<<': merge keys stand")) return;
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
      if (document_.root) return give_up("a second document: expected '---' on a line of its own above it");
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
    if (!parser_.text_of(token, pieces_))
      give_up(
          "a text that cannot be read: expected no two quotes in a row within single quotes, but double "
          "quotes "
          "around them");
    if (pieces_.empty()) return {};
    char* copy = static_cast<char*>(arena_.allocate(pieces_.size(), 1));
    std::copy_n(pieces_.data(), pieces_.size(), copy);
    return {copy, pieces_.size()};
  }

  void give_up(std::string text) { document_.broken = Problem{line_, std::move(text)}; }

  Parser& parser_;
  const std::string_view text_;
  const int first_line_;
  int line_;  // of the last event that had one
  std::pmr::monotonic_buffer_resource arena_{16 * 1024};
  Document document_;
  std::vector<Open> open_;
  std::map<std::string, Node*, std::less<>> anchors_;         // null while the anchored collection is open
  std::vector<std::pair<size_t, std::string>> open_anchors_;  // depth after opening, name
  std::string pieces_;                                        // of the text being read
  uint64_t copies_ = 0;
  uint32_t nodes_ = 0;
  size_t stopped_at_ = 0;  // the byte at which libfyaml saw the end
};

// The lines of a text, one after the other, as YAML 1.2 ends them: with LF, CR LF or CR.
class Lines {
 public:
  Lines(std::string_view text, int first_line) : text_(text), number_(first_line - 1) {}

  bool next() {
    if (next_ == text_.size()) return false;
    begin_ = next_;
    const size_t end = std::min(text_.find_first_of("\r\n", begin_), text_.size());
    line_ = text_.substr(begin_, end - begin_);
    next_ = std::min(end + (text_.substr(end).starts_with("\r\n") ? 2 : 1), text_.size());
    ++number_;
    return true;
  }

  std::string_view line() const { return line_; }  // without its end
  size_t begin() const { return begin_; }
  size_t behind() const { return next_; }  // where the next one begins
  int number() const { return number_; }

 private:
  std::string_view text_, line_;
  size_t begin_ = 0, next_ = 0;
  int number_;
};

constexpr std::string_view kOldLineEnd =
    "U+0085, U+2028 or U+2029: no end of a line here, but one for kubectl (YAML 1.1): expected LF";

bool is_marker(std::string_view line, std::string_view marker) {
  return line.starts_with(marker) &&
         (line.size() == marker.size() || line[marker.size()] == ' ' || line[marker.size()] == '\t');
}

// Something else than blanks and a comment.
bool has_content(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t");
  return first != std::string_view::npos && line[first] != '#';
}

// Cuts a text at its document markers. A document is what stands between two of them, comments and directives
// included; what libfyaml gets of it begins with the marker or the first line.
class Cutter {
 public:
  using Each = std::function<void(const Document&)>;
  Cutter(std::string_view text, int first_line, const Each& each)
      : text_(text), each_(each), lines_(text, first_line), whole_{0, first_line}, parsed_{0, first_line} {}

  void run() {
    while (lines_.next()) {
      std::string_view line = lines_.line();
      size_t at = lines_.begin();
      if (line.starts_with(kByteOrderMark) && (!content_ || is_marker(line.substr(3), "---"))) {
        line.remove_prefix(kByteOrderMark.size());  // the start of a file that was put behind another
        at += kByteOrderMark.size();
        if (!content_) parsed_ = {at, lines_.number()};
      }
      if (is_marker(line, "---")) {
        start_document(line, at);
      } else if (is_marker(line, "...")) {
        end_document(line);
      } else {
        other_line(line);
      }
      check_tokens(line);
    }
    finish(text_.size());
  }

 private:
  struct Place {
    size_t at;
    int line;
  };

  void start_document(std::string_view line, size_t at) {
    const bool directives = directive_line_ > 0 && !content_ && !marked_;
    // The directives above and their comments belong to it; libfyaml does not get them.
    if (!directives) {
      finish(lines_.begin());
      whole_ = {lines_.begin(), lines_.number()};
    }
    directive_line_ = 0;
    parsed_ = {at, lines_.number()};
    marked_ = true;
    content_ = has_content(line.substr(3));
  }

  void end_document(std::string_view line) {
    finish(lines_.begin());
    if (has_content(line.substr(3))) {
      refuse(lines_.number(), "text behind '...': expected nothing but a comment on this line");
    }
    whole_ = parsed_ = {lines_.behind(), lines_.number() + 1};
    marked_ = false;
  }

  void other_line(std::string_view line) {
    if (line.starts_with('%')) {
      // In front of '---' none changes what a manifest means. Behind it none may be; libfyaml would take time
      // that grows with the square of the line's length to say so.
      if (directive_line_ == 0) directive_line_ = lines_.number();
      return;
    }
    content_ = content_ || has_content(line);
  }

  void check_tokens(std::string_view line) {
    if (crowded_line_ > 0 || line.size() <= kMaxLineTokens) return;
    const auto separates = [](char c) {
      return std::string_view(" \t,:[]{}").find(c) != std::string_view::npos;
    };
    if (static_cast<size_t>(std::count_if(line.begin(), line.end(), separates)) > kMaxLineTokens)
      crowded_line_ = lines_.number();
  }

  // The document that ends before `end`.
  void finish(size_t end) {
    const std::string_view whole = text_.substr(whole_.at, end - whole_.at);
    if (const auto fault = text_fault(whole)) {
      refuse(line_of(whole, fault->offset, whole_.line),
             fmt::format("{}: expected UTF-8 text without control characters", fault->what));
    } else if (directive_line_ > 0) {
      refuse(directive_line_, "a line that begins with '%': expected directives in front of '---' only");
    } else if (crowded_line_ > 0) {
      refuse(crowded_line_,
             fmt::format("more than {} values in one line: expected line breaks between them, as "
                         "kubectl prints them",
                         kMaxLineTokens));
    } else if (content_) {
      Builder builder(parser_, text_.substr(parsed_.at, end - parsed_.at),
                      parsed_.line);  // the tree is in it
      Document document = builder.build();
      if (const size_t at = old_line_end(whole); at != std::string_view::npos)
        document.remarks.push_back({line_of(whole, at, whole_.line), std::string(kOldLineEnd)});
      each_(document);
    } else if (const size_t at = old_line_end(whole); at != std::string_view::npos) {
      refuse(line_of(whole, at, whole_.line), std::string(kOldLineEnd));  // a comment for us, not for others
    }
    content_ = false;
    directive_line_ = crowded_line_ = 0;
  }

  // NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR.
  static size_t old_line_end(std::string_view text) {
    size_t first = std::string_view::npos;
    for (const std::string_view end : {"\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"})
      first = std::min(first, text.find(end));
    return first;
  }

  static int line_of(std::string_view text, size_t offset, int first_line) {
    Lines lines(text, first_line);
    while (lines.next() && lines.behind() <= offset) {
    }
    return lines.number();
  }

  void refuse(int line, std::string why) {
    Document document;
    document.broken = Problem{line, std::move(why)};
    each_(document);
  }

  const std::string_view text_;
  const Each& each_;
  Lines lines_;
  Parser parser_;
  Place whole_;             // where the document begins
  Place parsed_;            // where libfyaml begins
  bool marked_ = false;     // it began with '---'
  bool content_ = false;    // it has some
  int directive_line_ = 0;  // the first line that begins with '%' and that no '---' followed yet
  int crowded_line_ = 0;    // the first of its lines with too many tokens
};

}  // namespace

void read_documents(std::string_view text, int first_line, const std::function<void(const Document&)>& each) {
  if (text.size() <= kMaxText) return Cutter(text, first_line, each).run();
  Document document;
  document.broken = Problem{first_line, fmt::format("{} bytes: expected at most {}, split over several files",
                                                    text.size(), kMaxText)};
  each(document);
}

}  // namespace sockmesh::config::yaml
