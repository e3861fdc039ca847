// RouteNumbers: the routes that destinations lead to, numbered. A route is a filter chain as one IP family
// sees it, and is known by the names of its listener and chain, so that it keeps its number while what it
// says changes. One configuration after the other; as thread-safe as a map.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_set>
#include <vector>

#include "base/text.h"
#include "direct/numbers.h"
#include "model/snapshot.h"

namespace sockmesh::direct {

struct RouteKey {
  Text listener, chain;
  uint16_t nth = 0;  // among chains of one name
  bool ipv6 = false;
  bool operator==(const RouteKey&) const = default;
};

// What it stands for, in the snapshot of this round.
struct NumberedRoute {
  uint32_t number = 0;
  const model::Listener* listener = nullptr;
  const model::FilterChain* chain = nullptr;
  bool ipv6 = false;
};

}  // namespace sockmesh::direct

template <>
struct std::hash<sockmesh::direct::RouteKey> {
  SOCKMESH_WRAPS size_t operator()(const sockmesh::direct::RouteKey& key) const noexcept {
    return (key.listener.hash() * 31 + key.chain.hash()) * 31 + key.nth * 2u + (key.ipv6 ? 1 : 0);
  }
};

namespace sockmesh::direct {

class RouteNumbers {
 public:
  using Listeners = std::unordered_set<const model::Listener*>;

  // A round begins: with no listener known any more, or with all but `gone`.
  void begin_all();
  void begin_without(Listeners gone);
  uint32_t of(const model::Listener& listener, const model::FilterChain& chain, bool ipv6);
  // The round ends: forgets, and returns, those of listeners that are not known any more and were not asked
  // for.
  std::vector<uint32_t> end_round();

  // By number, in no order.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (const auto& [key, known] : known_) visit(known.route);
  }

 private:
  struct Known {
    NumberedRoute route;
    uint64_t round = 0;
  };
  bool forgotten(const Known& known) const {
    return known.round != round_ && (all_gone_ || gone_.contains(known.route.listener));
  }

  Numbers<RouteKey> numbers_;
  FlatMap<RouteKey, Known> known_;
  uint64_t round_ = 0;
  bool all_gone_ = false;
  Listeners gone_;
};

}  // namespace sockmesh::direct
