#include "base/one_line.h"

#include <algorithm>

#include "base/strings.h"

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
  const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
  for (size_t i = 0; i + 1 < joined.size(); ++i) {
    const auto next = static_cast<unsigned char>(joined[i + 1]);
    if (joined[i] == '\xc2' && next >= 0x80 && next < 0xa0) joined[i] = joined[i + 1] = ' ';
  }
  std::replace_if(joined.begin(), joined.end(), control, ' ');
  return joined;
}

}  // namespace sockmesh
