// What a pod's rules do with connections to elsewhere, and with those that carry a mark: found out by making
// one of each. The rules are what counts, whoever wrote them and whatever was told.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "net/network_namespace.h"

namespace sockmesh::net {

struct MarkProbe {
  bool captured = false;     // connections are redirected to the proxy
  bool mark_passes = false;  // and those with the mark are not
};

// While nobody listens on the proxy's port, whose refusal tells that a connection was redirected there. Both
// go to an address that is nobody's (RFC 5737, RFC 3849); what is not redirected leaves the pod as one SYN
// that the first router drops. Takes a moment, or kProbeTimeout where nothing is redirected. Needs
// CAP_NET_ADMIN. An error: the mark is refused, or there is no route to elsewhere and so nothing to find out.
Result<MarkProbe> probe_mark(uint32_t mark, bool ipv6, const NetworkNamespace& network = {});

}  // namespace sockmesh::net
