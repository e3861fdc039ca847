#include "config/compiler/listener_draft.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <set>
#include <tuple>

#include "model/finding_codes.h"

namespace sockmesh::config {

namespace {

using model::FilterChain;
using model::FilterChainMatch;

std::string age_text(const ServiceDef& def) {
  if (def.created == WallTime::min()) return "no creationTimestamp counts as oldest";
  return fmt::format("creationTimestamp {:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(def.created)));
}

std::string holds(const ServiceDef& winner, const SocketAddress& at) {
  return fmt::format("older {} holds {} ({})", winner.origin->to_string(), at.to_string(), age_text(winner));
}

template <typename T>
std::set<T> as_set(const std::vector<T>& items) {
  return {items.begin(), items.end()};
}

bool inspects(const FilterChain& chain) {
  return !chain.match.server_names.empty() || chain.match.transport != model::TransportProtocol::kAny ||
         !chain.match.application_protocols.empty();
}

bool needs_own_protocol(Protocol protocol) {
  return protocol == Protocol::kMongo || protocol == Protocol::kMysql;
}

}  // namespace

std::string listener_name(const SocketAddress& address) {
  return fmt::format("{}_{}", address.ip.to_string(), address.port);
}

bool same_match(const FilterChainMatch& a, const FilterChainMatch& b) {
  return a.destination_port == b.destination_port && a.transport == b.transport &&
         as_set(a.prefix_ranges) == as_set(b.prefix_ranges) &&
         as_set(a.server_names) == as_set(b.server_names) &&
         as_set(a.application_protocols) == as_set(b.application_protocols);
}

std::string ambiguous_match(const std::vector<FilterChain>& chains) {
  if (chains.size() < 2) return "";
  std::set<std::tuple<int, std::string, std::string, int, std::string>> seen;
  const std::vector<std::string> any = {""};
  for (const FilterChain& chain : chains) {
    if (chain.match.match_all()) continue;  // of several the last becomes the default
    std::vector<std::string> blocks;
    for (const Prefix& prefix : chain.match.prefix_ranges) blocks.push_back(prefix.to_string());
    const auto or_any = [&](const std::vector<std::string>& list) -> const auto& {
      return list.empty() ? any : list;
    };
    for (const std::string& block : as_set(or_any(blocks)))
      for (const std::string& name : as_set(or_any(chain.match.server_names)))
        for (const std::string& alpn : as_set(or_any(chain.match.application_protocols)))
          if (!seen.emplace(chain.match.destination_port.value_or(0), block, name,
                            static_cast<int>(chain.match.transport), alpn)
                   .second)
            return fmt::format("{}{}{}", block.empty() ? "every address" : block, name.empty() ? "" : " ",
                               name);
  }
  return "";
}

void ListenerDrafts::see_http(const SocketAddress& wildcard) {
  http_.insert(wildcard);
  if (const auto it = drafts_.find(wildcard); it != drafts_.end() && !needs_own_protocol(it->second.protocol))
    it->second.protocol = Protocol::kAuto;
}

void ListenerDrafts::add(Claim claim) {
  const SocketAddress key = claim.addresses.front();
  const auto it = drafts_.find(key);
  if (it != drafts_.end()) {
    merge(it->second, std::move(claim));
    return;
  }
  const bool beside_http = http_.contains(key);
  // Istio adds no second sniffed service to a sniffing listener, and no MySQL or MongoDB at all.
  if (beside_http && (claim.protocol == Protocol::kAuto || needs_own_protocol(claim.protocol))) return;
  Draft& draft = drafts_[key];
  draft.protocol = beside_http ? Protocol::kAuto : claim.protocol;
  draft.owners.assign(claim.chains.size(), claim.def);
  model::Listener& listener = *draft.listener;
  listener.name = listener_name(key);
  listener.addresses = std::move(claim.addresses);
  listener.bind_to_port = claim.bind_to_port;
  listener.chains = std::move(claim.chains);
  listener.protocol = to_string(claim.protocol);
  listener.origin = claim.def->origin;
  listener.losers = std::move(claim.losers);
}

std::string ListenerDrafts::refusal(const Draft& draft, const Claim& claim) const {
  const SocketAddress& at = draft.listener->addresses.front();
  const ServiceDef& first = *draft.owners.front();
  if (draft.locked)
    return fmt::format("an earlier egress listener of the Sidecar has {} for itself", draft.listener->name);
  if (draft.protocol != claim.protocol &&
      (needs_own_protocol(draft.protocol) || needs_own_protocol(claim.protocol)))
    return fmt::format("{} and {} do not share a listener; {}", to_string(claim.protocol),
                       to_string(draft.protocol), holds(first, at));
  if (is_http(claim.protocol)) {
    // The listener of a TCP port has an exact address in Istio, that of an HTTP port has not.
    if (is_http(draft.protocol)) return holds(first, at);
    return fmt::format("{} holds {} for TCP", first.origin->to_string(), at.to_string());
  }
  if (draft.protocol == Protocol::kAuto && claim.protocol == Protocol::kAuto)
    return fmt::format("Istio keeps one port of undetermined protocol on a listener; {}", holds(first, at));
  return "";
}

void ListenerDrafts::merge(Draft& draft, Claim claim) {
  model::Listener& listener = *draft.listener;
  const SocketAddress& at = listener.addresses.front();
  const auto lose = [&](const std::string& chain, std::string reason) {
    listener.losers.push_back(
        {claim.def->origin, fmt::format("chain {} on {}", chain, listener.name), std::move(reason), {}});
  };
  if (const std::string refused = refusal(draft, claim); !refused.empty()) {
    for (const FilterChain& chain : claim.chains) lose(chain.name, refused);
    return;
  }
  if (claim.protocol == Protocol::kAuto) draft.protocol = Protocol::kAuto;
  for (FilterChain& chain : claim.chains) {
    const auto same =
        std::find_if(listener.chains.begin(), listener.chains.end(),
                     [&](const FilterChain& one) { return same_match(one.match, chain.match); });
    if (same != listener.chains.end()) {
      const auto index = static_cast<size_t>(same - listener.chains.begin());
      lose(chain.name, holds(*draft.owners[index], at));
      continue;
    }
    listener.chains.push_back(std::move(chain));
    draft.owners.push_back(claim.def);
  }
  for (auto& loser : claim.losers) listener.losers.push_back(std::move(loser));
  for (const SocketAddress& more : claim.addresses)
    if (std::find(listener.addresses.begin(), listener.addresses.end(), more) == listener.addresses.end())
      listener.addresses.push_back(more);
}

void ListenerDrafts::lock() {
  for (auto& [key, draft] : drafts_) draft.locked = true;
}

std::vector<ListenerDrafts::Finished> ListenerDrafts::finish(
    const FilterChain& fallback, const std::optional<FilterChain>& before_wildcard) {
  std::vector<Finished> finished;
  finished.reserve(drafts_.size());
  for (auto& [key, draft] : drafts_) {
    model::Listener& listener = *draft.listener;
    if (const std::string both = ambiguous_match(listener.chains); !both.empty()) {
      finished.push_back(
          {key, nullptr,
           model::make_finding(
               "SM0101", listener.origin,
               fmt::format("listener {} has two filter chains for {}: Envoy refuses it as a whole, "
                           "its traffic is treated as that of an unknown address",
                           listener.name, both))});
      continue;
    }
    if (before_wildcard && key.ip.is_any()) listener.chains.insert(listener.chains.begin(), *before_wildcard);
    // A chain for everything is the default beside others, so that a half-way match falls back to it.
    const auto everything = [](const FilterChain& chain) { return chain.match.match_all(); };
    const auto all = std::find_if(listener.chains.rbegin(), listener.chains.rend(), everything);
    if (all == listener.chains.rend()) {
      listener.default_chain = fallback;
    } else if (listener.chains.size() > 1 && !before_wildcard) {
      listener.default_chain = std::move(*all);
      std::erase_if(listener.chains, everything);
      if (listener.chains.empty()) {
        listener.chains.push_back(std::move(*listener.default_chain));
        listener.default_chain.reset();
      }
    }
    listener.inspect_tls = std::any_of(listener.chains.begin(), listener.chains.end(), inspects);
    finished.push_back({key, std::move(draft.listener), std::nullopt});
  }
  drafts_.clear();
  return finished;
}

}  // namespace sockmesh::config
