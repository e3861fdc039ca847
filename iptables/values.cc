#include "iptables/values.h"

#include <algorithm>

#include "base/strings.h"

namespace sockmesh::iptables {

namespace {

// A decimal number without a leading zero: iptables would read 010 as octal 8.
template <typename T>
std::optional<T> number(std::string_view text) {
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  return parse_number<T>(text);
}

template <typename Reader>
auto read_list(std::string_view text, Reader reader)
    -> Result<std::vector<typename decltype(reader(text))::value_type>> {
  std::vector<typename decltype(reader(text))::value_type> list;
  for (const std::string_view item : split(text, ',', /*skip_empty=*/true)) {
    SOCKMESH_TRY(value, reader(item));
    list.push_back(std::move(value));
  }
  return list;
}

bool is_word(std::string_view text, std::string_view extra) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           extra.find(c) != std::string_view::npos;
  });
}

}  // namespace

Result<uint16_t> read_port(std::string_view label, std::string_view text) {
  const auto port = number<uint16_t>(text);
  if (!port || *port == 0) return fail("{} '{}': expected a port from 1 to 65535", label, text);
  return *port;
}

Result<std::vector<uint16_t>> read_ports(std::string_view label, std::string_view text) {
  return read_list(text, [&](std::string_view item) { return read_port(label, item); });
}

Result<std::vector<uint32_t>> read_ids(std::string_view label, std::string_view text) {
  return read_list(text, [&](std::string_view item) -> Result<uint32_t> {
    const auto id = number<uint32_t>(item);
    // 2^32-1 is the kernel's "no id".
    if (!id || *id == UINT32_MAX) return fail("{} '{}': expected a number from 0 to 4294967294", label, item);
    return *id;
  });
}

Result<std::vector<Cidr>> read_cidrs(std::string_view label, std::string_view text) {
  return read_list(text, [&](std::string_view item) -> Result<Cidr> {
    auto cidr = Cidr::parse(item);
    if (!cidr) return fail("{} {}", label, cidr.error().message);
    return cidr;
  });
}

Result<std::vector<std::string>> read_interfaces(std::string_view label, std::string_view text) {
  return read_list(text, [&](std::string_view item) -> Result<std::string> {
    // IFNAMSIZ is 16 with the terminating zero. '+' at the end is iptables' wildcard ("veth+").
    const std::string_view name = item.ends_with('+') ? item.substr(0, item.size() - 1) : item;
    const bool fits = item.size() <= 15 && !name.empty() && name != "." && name != "..";
    if (!fits || name[0] == '-' || !is_word(name, "-_.@"))
      return fail("{} '{}': expected an interface name (up to 15 letters, digits, '-', '_', '.', '@')", label,
                  item);
    return std::string(item);
  });
}

Result<std::vector<std::string>> read_groups(std::string_view label, std::string_view text, size_t limit) {
  SOCKMESH_TRY(groups, read_list(text, [&](std::string_view item) -> Result<std::string> {
                 const bool numeric = item.find_first_not_of("0123456789") == std::string_view::npos;
                 const bool good = numeric ? number<uint32_t>(item).value_or(UINT32_MAX) != UINT32_MAX
                                           : item.size() <= 32 && item[0] != '-' && is_word(item, "-_.");
                 if (!good) return fail("{} '{}': expected a group name or number", label, item);
                 return std::string(item);
               }));
  if (limit > 0 && groups.size() > limit)
    return fail("{} '{}': expected at most {} groups, got {}", label, text, limit, groups.size());
  return groups;
}

Result<std::vector<IpAddress>> read_addresses(std::string_view label, std::string_view text) {
  return read_list(text, [&](std::string_view item) -> Result<IpAddress> {
    const auto address = IpAddress::parse(item);
    if (!address) return fail("{} {}", label, address.error().message);
    return *address;
  });
}

Result<uint32_t> read_mark(std::string_view label, std::string_view text) {
  const auto mark = number<uint32_t>(text);
  if (!mark || *mark == 0) return fail("{} '{}': expected a packet mark from 1 to 4294967295", label, text);
  return *mark;
}

Result<uint32_t> read_route_table(std::string_view label, std::string_view text) {
  const auto table = number<uint32_t>(text);
  if (!table || *table == 0 || (*table >= 253 && *table <= 255))
    return fail("{} '{}': expected a routing table number other than 0, 253, 254 and 255", label, text);
  return *table;
}

Result<bool> read_bool(std::string_view label, std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return fail("{} '{}': expected true or false", label, text);
}

Result<std::chrono::milliseconds> read_duration(std::string_view label, std::string_view text) {
  const auto duration = parse_duration(text);
  if (!duration) return fail("{} {}", label, duration.error().message);
  return std::chrono::duration_cast<std::chrono::milliseconds>(*duration);
}

Result<Cidr> read_loopback_cidr(std::string_view label, std::string_view text) {
  const auto cidr = Cidr::parse(text);
  if (!cidr || cidr->address.is_v6() || !cidr->address.is_loopback() || cidr->length < 8)
    return fail("{} '{}': expected an IPv4 loopback block such as 127.0.0.1/32, mask from 8 to 32", label,
                text);
  return *cidr;
}

}  // namespace sockmesh::iptables
