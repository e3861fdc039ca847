// Any bytes as YAML documents: each has a tree or says why not, lines are those of the text, and none
// vanishes: what stands between two markers and is more than comments is told of, by an account of its own.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "config/manifest/yaml.h"

using namespace sockmesh;
using namespace sockmesh::config;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

uint64_t walk(const yaml::Node& node, int depth, int last_line) {
  require(depth <= yaml::kMaxDepth + 1);
  require(node.line >= 1 && node.line <= last_line);
  require(node.is_mapping() || node.is_sequence() || node.members.empty());
  uint64_t reach = 1;
  for (const yaml::Member& member : node.members) {
    require(member.value != nullptr && member.line >= 1 && member.line <= last_line);
    reach += walk(*member.value, depth + 1, last_line);
  }
  require(reach == node.reach);
  return reach;
}

struct Told {
  int documents = 0, broken = 0;
};

Told tell(std::string_view text, int last_line) {
  Told told;
  yaml::read_documents(text, 1, [&](const yaml::Document& document) {
    ++told.documents;
    require((document.root == nullptr) == document.broken.has_value());
    if (document.root) walk(*document.root, 1, last_line);
    told.broken += document.broken.has_value();
    if (document.broken) require(document.broken->line >= 1 && document.broken->line <= last_line);
    for (const yaml::Problem& remark : document.remarks)
      require(remark.line >= 1 && remark.line <= last_line);
  });
  return told;
}

// How many stretches between lines that begin with "---" or "..." hold a line of content.
int stretches(std::string_view text) {
  int count = 0;
  bool content = false;
  const auto has_content = [](std::string_view line) {
    const size_t first = line.find_first_not_of(" \t");
    return first != std::string_view::npos && line[first] != '#' && line[0] != '%';
  };
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\r\n"), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);  // two are no beginning of a document
    const bool marker = (line.starts_with("---") || line.starts_with("...")) &&
                        (line.size() == 3 || line[3] == ' ' || line[3] == '\t');
    if (marker) {
      count += content;
      content = line[0] == '-' && has_content(line.substr(3));
    } else {
      content |= has_content(line);
    }
  }
  return count + content;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const int last_line = 2 + static_cast<int>(std::count_if(text.begin(), text.end(),
                                                           [](char c) { return c == '\n' || c == '\r'; }));
  const Told told = tell(text, last_line);
  require(told.documents >= stretches(text));
  // Bytes that are no text never go unnoticed.
  if (const auto fault = text_fault(text))
    require(told.broken > 0 || text.find("\n...") != std::string_view::npos || text.starts_with("...") ||
            text.find("\r...") != std::string_view::npos);
  // What is behind does not depend on what was before, whatever state the parser is in. (A line end at the
  // end of a text may mend it: ">".)
  const std::string ended = std::string(text) + "\n";
  const Told alone = tell(ended, last_line + 1);
  const Told more = tell(ended + "...\n---\nsentinel: true\n", last_line + 4);
  require(more.documents == alone.documents + 1 && more.broken == alone.broken);
  return 0;
}
