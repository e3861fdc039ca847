// The outbound listeners of a sidecar: virtualOutbound and one per address and port that a visible service
// claims, with the conflicts settled (docs/istio.md#outbound-listeners). Pure.
#pragma once

#include <set>
#include <vector>

#include "config/compiler/listener_draft.h"
#include "config/compiler/proxy_view.h"

namespace sockmesh::config {

using AddressSet = std::set<SocketAddress>;

// The listeners of services by their first address. What is at an address depends on who claims it and on no
// other address, so with `only` it is made for these addresses alone.
std::vector<ListenerDrafts::Finished> build_outbound(const ProxyView& view, const AddressSet* only = nullptr);

// The first addresses that these hosts claim, or by being there could change.
AddressSet outbound_addresses(const ProxyView& view, const HostSet& hosts);

// What of the Sidecar is not served, whatever is claimed.
std::vector<model::Finding> outbound_findings(const ProxyView& view);

// Where everything goes that no listener has.
model::ListenerPtr build_virtual_outbound(const ProxyView& view);

}  // namespace sockmesh::config
