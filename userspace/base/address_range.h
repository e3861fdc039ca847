// The ends of blocks of addresses. Pure, any thread.
#pragma once

#include <optional>

#include "base/address.h"

namespace sockmesh {

// The last address of a block. Of one in which IPv6 means IPv4 (::ffff:0:0/96) that is an IPv4 address.
IpAddress last_of(const Prefix& block);
std::optional<IpAddress> successor(const IpAddress& ip);  // absent: it is the last of all

}  // namespace sockmesh
