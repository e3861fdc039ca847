#include "base/packet_mark.h"

#include <charconv>

namespace sockmesh {

std::optional<uint32_t> parse_mark(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  if (!hexadecimal && text.size() > 1 && text[0] == '0') return std::nullopt;
  uint32_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || stop != end || text.empty()) return std::nullopt;
  return value;
}

Result<PacketMark> PacketMark::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto value = parse_mark(text.substr(0, slash));
  const auto mask = slash == std::string_view::npos ? value : parse_mark(text.substr(slash + 1));
  if (!value || !mask || *value == 0 || (*value & ~*mask) != 0)
    return fail("expected MARK or MARK/MASK, the mark not 0 and within the mask, for example 0x20000000");
  return PacketMark{*value, *mask};
}

std::string PacketMark::to_string() const { return fmt::format("{:#x}/{:#x}", value, mask); }

}  // namespace sockmesh
