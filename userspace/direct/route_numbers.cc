#include "direct/route_numbers.h"

namespace sockmesh::direct {

uint32_t RouteNumbers::of(const model::Listener& listener, const model::FilterChain& chain, bool ipv6) {
  RouteKey key{listener.name, chain.name, 0, ipv6};
  for (;; ++key.nth) {
    const auto [at, fresh] = known_.emplace(key, Known());
    Known& known = at->second;
    if (fresh) known.route.number = numbers_.hold(key);
    if (known.round != round_) {
      known.round = round_;
      known.route.listener = &listener;
      known.route.chain = &chain;
      known.route.ipv6 = ipv6;
    }
    // Names need not be unique. Whose name is taken is the next one of that name.
    if (known.route.chain == &chain && known.route.listener == &listener) return known.route.number;
  }
}

std::vector<NumberedRoute> RouteNumbers::routes() const {
  std::vector<NumberedRoute> out;
  out.reserve(known_.size());
  for (const auto& [key, known] : known_)
    if (known.round == round_) out.push_back(known.route);
  return out;
}

void RouteNumbers::end_round() {
  std::vector<RouteKey> gone;
  for (const auto& [key, known] : known_)
    if (known.round != round_) gone.push_back(key);
  for (const RouteKey& key : gone) {
    numbers_.let_go(key);
    known_.erase(known_.find(key));
  }
  numbers_.end_generation();
  ++round_;
}

}  // namespace sockmesh::direct
