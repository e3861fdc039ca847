#include "base/address_range.h"

#include <algorithm>

namespace sockmesh {

namespace {

IpAddress with_bytes(const IpAddress& like, const std::array<uint8_t, 16>& bytes) {
  if (like.is_v4())
    return IpAddress::v4(uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 |
                         bytes[3]);
  in6_addr raw;
  std::copy(bytes.begin(), bytes.end(), raw.s6_addr);
  return IpAddress::v6(raw);
}

}  // namespace

IpAddress last_of(const Prefix& block) {
  std::array<uint8_t, 16> bytes = block.address.bytes();
  for (int bit = block.length; bit < block.address.bits(); ++bit)
    bytes[static_cast<size_t>(bit) / 8] |= static_cast<uint8_t>(0x80 >> bit % 8);
  return with_bytes(block.address, bytes);
}

std::optional<IpAddress> successor(const IpAddress& ip) {
  std::array<uint8_t, 16> bytes = ip.bytes();
  for (size_t i = static_cast<size_t>(ip.bits()) / 8; i-- > 0;)
    if (++bytes[i] != 0) return with_bytes(ip, bytes);
  return std::nullopt;
}

}  // namespace sockmesh
