// Listeners while they are being put together: who claims an address and port, who comes too late, and what
// Envoy would refuse (docs/istio.md#conflicts). One thread.
#pragma once

#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/registry/registry.h"
#include "model/snapshot.h"

namespace sockmesh::config {

std::string listener_name(const SocketAddress& address);  // "10.96.1.10_9000", "::_9000"

bool same_match(const model::FilterChainMatch& a, const model::FilterChainMatch& b);

// Two chains of a listener that one connection could match equally well: Envoy refuses such a listener.
// Empty when there are none, else what both match.
std::string ambiguous_match(const std::vector<model::FilterChain>& chains);

// One claim of a service to an address.
struct Claim {
  std::vector<SocketAddress> addresses;  // primary first; the primary is the key
  const ServiceDef* def = nullptr;
  Protocol protocol = Protocol::kAuto;
  std::vector<model::FilterChain> chains;
  std::vector<model::Loser> losers;  // found while the chains were made
  bool bind_to_port = false;
};

class ListenerDrafts {
 public:
  void add(Claim claim);
  // An HTTP service was there: Istio has one sniffing listener for the port on every address, which is not
  // made here, but decides who may still join it.
  void see_http(const SocketAddress& wildcard);
  // What follows adds nothing to the listeners there are.
  void lock();
  // What became of each claimed address, in their order: a listener, or why there is none.
  struct Finished {
    SocketAddress at;
    model::ListenerPtr listener;  // null: refused
    std::optional<model::Finding> refusal;
  };
  // `fallback` takes what no chain of a listener does. `before_wildcard` precedes the chains of listeners
  // without an address of their own (empty: nothing does).
  std::vector<Finished> finish(const model::FilterChain& fallback,
                               const std::optional<model::FilterChain>& before_wildcard);

 private:
  struct Draft {
    std::shared_ptr<model::Listener> listener = std::make_shared<model::Listener>();
    Protocol protocol = Protocol::kAuto;
    std::vector<const ServiceDef*> owners;  // of the chains, side by side
    bool locked = false;
  };
  void merge(Draft& draft, Claim claim);
  std::string refusal(const Draft& draft, const Claim& claim) const;
  // Side by side, apart from the listeners, which outlive them: so their memory can be given back.
  std::pmr::monotonic_buffer_resource memory_;
  std::pmr::map<SocketAddress, Draft> drafts_{&memory_};
  std::set<SocketAddress> http_;
};

}  // namespace sockmesh::config
