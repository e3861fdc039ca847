// Readers of single values and of comma lists, shared by flags and environment. Each takes the label of the
// value ("--proxy-uid", "environment ISTIO_INBOUND_PORTS") for its error. List syntax is Istio's: split at
// commas, empty items dropped, nothing trimmed. Pure.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "iptables/rules.h"

namespace sockmesh::iptables {

Result<uint16_t> read_port(std::string_view label, std::string_view text);
Result<std::vector<uint16_t>> read_ports(std::string_view label, std::string_view text);
Result<std::vector<uint32_t>> read_ids(std::string_view label, std::string_view text);
Result<std::vector<Cidr>> read_cidrs(std::string_view label, std::string_view text);
Result<std::vector<std::string>> read_interfaces(std::string_view label, std::string_view text);
// Group names or numbers. `limit` 0: no limit.
Result<std::vector<std::string>> read_groups(std::string_view label, std::string_view text, size_t limit);
Result<std::vector<IpAddress>> read_addresses(std::string_view label, std::string_view text);
// From 1; 0 would match every packet.
Result<uint32_t> read_mark(std::string_view label, std::string_view text);
// Not the kernel's own tables: 0 (unspecified), 253 (default), 254 (main), 255 (local).
Result<uint32_t> read_route_table(std::string_view label, std::string_view text);
// Go's ParseBool: 1, t, T, true, True, TRUE and their opposites.
Result<bool> read_bool(std::string_view label, std::string_view text);
Result<std::chrono::milliseconds> read_duration(std::string_view label, std::string_view text);
// IPv4, a loopback address, a mask of 8 to 32 bits.
Result<Cidr> read_loopback_cidr(std::string_view label, std::string_view text);

}  // namespace sockmesh::iptables
