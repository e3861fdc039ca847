#include "direct/route_numbers.h"

namespace sockmesh::direct {

void RouteNumbers::begin_all() {
  ++round_;
  all_gone_ = true;
}

void RouteNumbers::begin_without(Listeners gone) {
  ++round_;
  all_gone_ = false;
  gone_ = std::move(gone);
}

uint32_t RouteNumbers::of(const model::Listener& listener, const model::FilterChain& chain, bool ipv6) {
  RouteKey key{listener.name, chain.name, 0, ipv6};
  for (;; ++key.nth) {
    const auto [at, fresh] = known_.emplace(key, Known());
    Known& known = at->second;
    if (fresh || forgotten(known)) {
      const uint32_t number = fresh ? numbers_.hold(key) : known.route.number;
      known = {{number, &listener, &chain, ipv6}, round_};
    }
    // Names need not be unique. Whose name is taken is the next one of that name.
    if (known.route.chain == &chain && known.route.listener == &listener) return known.route.number;
  }
}

std::vector<uint32_t> RouteNumbers::end_round() {
  std::vector<RouteKey> keys;
  std::vector<uint32_t> numbers;
  for (const auto& [key, known] : known_)
    if (forgotten(known)) {
      keys.push_back(key);
      numbers.push_back(known.route.number);
    }
  for (const RouteKey& key : keys) {
    numbers_.let_go(key);
    known_.erase(known_.find(key));
  }
  numbers_.end_generation(round_);  // flows remember it too, but nobody asks what it was
  gone_.clear();
  return numbers;
}

}  // namespace sockmesh::direct
