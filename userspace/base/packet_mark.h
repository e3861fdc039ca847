// PacketMark: some bits of the mark that Linux keeps with a socket and its packets (SO_MARK, skb->mark),
// which others may use too. Plain value, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sockmesh {

// A whole mark: decimal, or hexadecimal with 0x. No leading zero before decimal digits: some read those as
// octal.
std::optional<uint32_t> parse_mark(std::string_view text);

struct PacketMark {
  uint32_t value = 0, mask = 0;  // value: within mask, never 0

  // "0x20000000", "536870912", "0x100/0x300"; without a mask, the value's own bits. The error says what was
  // expected.
  static Result<PacketMark> parse(std::string_view text);
  bool is_in(uint32_t mark) const { return (mark & mask) == value; }
  std::string to_string() const;  // "0x100/0x300"
  bool operator==(const PacketMark&) const = default;
};

// Of direct connections (docs/direct.md#the-mark), where nobody asks for another.
inline constexpr PacketMark kDirectMark{0x20000000, 0x20000000};

}  // namespace sockmesh
