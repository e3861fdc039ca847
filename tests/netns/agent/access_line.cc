#include "access_line.h"

#include "base/strings.h"

namespace sockmesh::test {
namespace {

std::string unquoted(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  return std::string(text);
}

}  // namespace

std::vector<AccessLine> read_access_log(const std::string& log) {
  std::vector<AccessLine> lines;
  for (const std::string_view line : split(log, '\n', true)) {
    const auto word = split(line, ' ', true);
    const size_t n = word.size();
    if (!line.starts_with('[') || n < 20 || word[1] != "\"-") continue;
    lines.push_back({.flags = std::string(word[5]),
                     .received = parse_number<uint64_t>(word[n - 15]).value_or(0),
                     .sent = parse_number<uint64_t>(word[n - 14]).value_or(0),
                     .duration = parse_number<uint64_t>(word[n - 13]).value_or(0),
                     .upstream = unquoted(word[n - 7]),
                     .cluster = std::string(word[n - 6]),
                     .upstream_local = std::string(word[n - 5]),
                     .destination = std::string(word[n - 4]),
                     .client = std::string(word[n - 3]),
                     .text = std::string(line)});
  }
  return lines;
}

}  // namespace sockmesh::test
