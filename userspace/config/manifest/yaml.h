// YAML documents as trees of plain nodes that know their lines. A text is cut at its document markers and
// each document is parsed alone, so that a broken one leaves the others readable and memory is that of one
// document. Pure on text, any thread; JSON is read as the YAML it is.
//
// Nothing of a text is lost silently: every byte is printable UTF-8 or its document is broken, and so is a
// document in which libfyaml stops early, finds nothing, or finds more than one value.
//
// What a hostile text can cost is bounded here: nesting kMaxDepth, kMaxNodes a document, and aliases are
// shared instead of copied, with the nodes they stand for, and the members that merge keys copy, bounded by
// kMaxAliasedNodes (the "billion laughs").
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sockmesh::config::yaml {

inline constexpr int kMaxDepth = 64;
inline constexpr uint32_t kMaxNodes = 2'000'000;  // a `kubectl get` dump of 10,000 Services has 1,000,000
inline constexpr uint32_t kMaxAliasedNodes = 100'000;  // summed over the aliases of one document
inline constexpr size_t kMaxText = size_t{32} << 20;   // bytes of one file; 10,000 Services are 20 MB
// Blanks and flow indicators in one line: libfyaml keeps what stands between them, some 400 bytes each, until
// it knows that the line is no key. As JSON without line breaks this is some megabytes.
inline constexpr size_t kMaxLineTokens = 100'000;
inline constexpr size_t kMaxRemarks = 100;  // of one document; the others are counted

struct Node;

struct Member {
  std::string_view key;  // "" in a sequence
  int line = 0;          // of the key
  const Node* value = nullptr;
};

struct Node {
  enum class Kind : uint8_t { kNull, kScalar, kSequence, kMapping };
  Kind kind = Kind::kNull;
  bool plain = false;  // a scalar written without quotes, block marker or tag: may mean a number or a boolean
  bool literal = false;   // a block scalar ("|"), whose lines are those of the file
  int line = 0;           // 1-based, in the file; a line ends with LF, CR LF or CR
  uint32_t reach = 1;     // nodes that a walk from here visits, aliases counted as often as they are met
  std::string_view text;  // of a scalar
  std::span<const Member> members;

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_sequence() const { return kind == Kind::kSequence; }
  bool is_mapping() const { return kind == Kind::kMapping; }
  const Node* find(std::string_view key) const;  // null when absent; the last of duplicates
};

struct Problem {
  int line = 0;
  std::string text;
};

// One outcome a document, in the order of the text; documents of comments alone have none.
struct Document {
  const Node* root = nullptr;  // null if and only if `broken` says why. Valid during the call.
  std::optional<Problem> broken;
  std::vector<Problem> remarks;  // duplicate keys and the like: the document is usable all the same
  size_t unlisted_remarks = 0;   // beyond kMaxRemarks
};

// `first_line` is the line of the file on which `text` begins.
void read_documents(std::string_view text, int first_line, const std::function<void(const Document&)>& each);

}  // namespace sockmesh::config::yaml
