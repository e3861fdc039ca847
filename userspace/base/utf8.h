// UTF-8, read strictly: what is well-formed (RFC 3629: no overlong forms, no surrogates, nothing above
// U+10FFFF), and what of it is printable. Texts from outside are asked here before a parser or a log line
// gets them. Pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sockmesh {

struct Utf8Char {
  char32_t code = 0;
  uint8_t length = 0;  // in bytes, 1 to 4; 0: no well-formed character stands there
};

// The first character of `text`.
Utf8Char first_utf8(std::string_view text);

// YAML's printable characters (YAML 1.2.2, section 5.1): no C0 control but tab, LF and CR, no DEL, no C1
// control but NEL, no U+FFFE and U+FFFF. A YAML reader refuses all others.
bool is_yaml_printable(char32_t code);

struct TextFault {
  size_t offset = 0;  // of the first byte that is at fault
  std::string what;   // "byte 0xff", "character U+0001"
};
// The first place at which `text` is not printable, well-formed UTF-8.
std::optional<TextFault> text_fault(std::string_view text);

// `text` as a part of one line of a message, whoever wrote it: control characters and line separators are
// blanks, ill-formed bytes are U+FFFD, and after `longest` bytes it ends between two characters, with "...".
std::string printable(std::string_view text, size_t longest);

}  // namespace sockmesh
