#include "base/one_line.h"

#include <algorithm>

#include "base/strings.h"
#include "base/utf8.h"

namespace sockmesh {

std::string one_line(std::string_view text) {
  std::string joined;
  joined.reserve(text.size());
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find_first_of("\n\r", begin), text.size());
    const std::string_view line = trim(text.substr(begin, end - begin));
    if (!line.empty()) joined.append(joined.empty() ? "" : "; ").append(line);
    begin = end + 1;
  }
  return printable(joined, std::string::npos);
}

}  // namespace sockmesh
