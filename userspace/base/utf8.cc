#include "base/utf8.h"

#include <fmt/format.h>

#include <algorithm>

namespace sockmesh {

namespace {

// By the first byte: how long the character is, and the range of its second byte, which is where overlong
// forms, surrogates and what is above U+10FFFF show (Unicode, table 3-7).
struct Form {
  uint8_t length = 0;  // 0: cannot be a first byte
  uint8_t low = 0x80, high = 0xbf;
};

constexpr Form form_of(uint8_t first) {
  if (first < 0x80) return {1};
  if (first < 0xc2) return {};
  if (first < 0xe0) return {2};
  if (first == 0xe0) return {3, 0xa0, 0xbf};
  if (first == 0xed) return {3, 0x80, 0x9f};
  if (first < 0xf0) return {3};
  if (first == 0xf0) return {4, 0x90, 0xbf};
  if (first < 0xf4) return {4};
  if (first == 0xf4) return {4, 0x80, 0x8f};
  return {};
}

// Ends a line for somebody: a terminal, a log reader, a YAML 1.1 reader.
bool breaks_a_line(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
}

}  // namespace

Utf8Char first_utf8(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const Form form = form_of(byte(0));
  if (form.length == 0 || text.size() < form.length) return {};
  if (form.length == 1) return {byte(0), 1};
  if (byte(1) < form.low || byte(1) > form.high) return {};
  char32_t code = byte(0) & (0x7f >> form.length);
  for (size_t i = 1; i < form.length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3f);
  }
  return {code, form.length};
}

bool is_yaml_printable(char32_t code) {
  if (code < 0x20) return code == '\t' || code == '\n' || code == '\r';
  if (code < 0x7f) return true;
  if (code < 0xa0) return code == 0x85;
  return code != 0xfffe && code != 0xffff;
}

std::optional<TextFault> text_fault(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte >= 0x20 && byte < 0x7f) {  // nearly everything
      ++at;
      continue;
    }
    const Utf8Char character = first_utf8(text.substr(at));
    if (character.length == 0) return TextFault{at, fmt::format("byte {:#04x}", byte)};
    if (!is_yaml_printable(character.code)) {
      return TextFault{at, fmt::format("character U+{:04X}", static_cast<uint32_t>(character.code))};
    }
    at += character.length;
  }
  return std::nullopt;
}

std::string printable(std::string_view text, size_t longest) {
  std::string out;
  out.reserve(std::min(text.size(), longest));
  while (!text.empty()) {
    const Utf8Char character = first_utf8(text);
    const size_t length = std::max<size_t>(character.length, 1);
    const std::string_view shown = character.length == 0           ? "\xef\xbf\xbd"
                                   : breaks_a_line(character.code) ? " "
                                                                   : text.substr(0, length);
    if (out.size() + shown.size() > longest) return out + "...";
    out += shown;
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace sockmesh
