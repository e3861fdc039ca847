#include "model/chain_index.h"

#include <algorithm>

#include "model/match.h"
#include "model/snapshot.h"

namespace sockmesh::model {

namespace {

bool same_way(const Route& a, const Route& b) {
  return std::equal(a.clusters.begin(), a.clusters.end(), b.clusters.begin(), b.clusters.end(),
                    [](const WeightedCluster& x, const WeightedCluster& y) {
                      return x.cluster == y.cluster && x.weight == y.weight;
                    });
}

}  // namespace

ChainIndex::ChainIndex(const std::vector<FilterChain>& chains) {
  for (const FilterChain& chain : chains)
    add(chain.match.destination_port ? ports_[*chain.match.destination_port] : any_port_, chain);
  settle(any_port_);
  for (auto& [port, addresses] : ports_) settle(addresses);
}

void ChainIndex::add(ByAddress& to, const FilterChain& chain) {
  const auto under = [&](std::vector<ByAddress::Length>& lengths, const IpAddress& block, int bits) {
    auto at = std::find_if(lengths.begin(), lengths.end(), [&](const auto& l) { return l.bits <= bits; });
    if (at == lengths.end() || at->bits != bits) at = lengths.insert(at, {bits, {}});
    std::shared_ptr<ByBytes>& node = at->blocks[block];
    if (!node) node = std::make_shared<ByBytes>();
    add(*node, chain);
  };
  if (chain.match.prefix_ranges.empty()) {
    under(to.v4, IpAddress::any(false), 0);
    under(to.v6, IpAddress::any(true), 0);
  }
  for (const Prefix& prefix : chain.match.prefix_ranges)
    under(prefix.address.is_v6() ? to.v6 : to.v4, prefix.address, prefix.length);
}

void ChainIndex::add(ByBytes& to, const FilterChain& chain) {
  // The first of two chains with the same match keeps it.
  const auto place = [&](ByTransport& transports) {
    std::unique_ptr<ByApplication>& at = transports[static_cast<size_t>(chain.match.transport)];
    if (!at) at = std::make_unique<ByApplication>();
    if (chain.match.application_protocols.empty() && !at->any) at->any = &chain;
    for (const std::string& protocol : chain.match.application_protocols)
      at->named.emplace_back(protocol, &chain);
  };
  if (chain.match.server_names.empty()) place(to.unnamed);
  for (const std::string& name : chain.match.server_names)
    place(name.starts_with("*.") ? to.suffix[name.substr(1)] : to.exact[name]);
}

void ChainIndex::settle(ByAddress& at) {
  for (auto* lengths : {&at.v4, &at.v6})
    for (auto& length : *lengths)
      for (auto& [block, node] : length.blocks) node->plain = plain_answer(*node);
}

// Null unless every sequence of bytes ends at a chain, and all of these go the same way.
const FilterChain* ChainIndex::plain_answer(const ByBytes& at) {
  if (!at.exact.empty() || !at.suffix.empty()) return nullptr;
  const auto whole = [&](TransportProtocol protocol) -> const FilterChain* {
    const auto& chains = at.unnamed[static_cast<size_t>(protocol)];
    if (!chains || !chains->any) return nullptr;
    for (const auto& [name, chain] : chains->named)
      if (!same_way(chain->route, chains->any->route)) return nullptr;
    return chains->any;
  };
  const auto present = [&](TransportProtocol protocol) {
    return at.unnamed[static_cast<size_t>(protocol)] != nullptr;
  };
  const bool any = present(TransportProtocol::kAny), tls = present(TransportProtocol::kTls),
             raw = present(TransportProtocol::kRawBuffer);
  if (!any && !(tls && raw)) return nullptr;
  const FilterChain* answer = nullptr;
  for (auto protocol : {TransportProtocol::kAny, TransportProtocol::kTls, TransportProtocol::kRawBuffer}) {
    if (!present(protocol)) continue;
    const FilterChain* chain = whole(protocol);
    if (!chain || (answer && !same_way(chain->route, answer->route))) return nullptr;
    if (!answer) answer = chain;
  }
  return answer;
}

const FilterChain* ChainIndex::find(const ByTransport& at, const TlsHello& hello) {
  const auto detected = hello.is_tls ? TransportProtocol::kTls : TransportProtocol::kRawBuffer;
  const ByApplication* chains = at[static_cast<size_t>(detected)].get();
  if (!chains) chains = at[static_cast<size_t>(TransportProtocol::kAny)].get();
  if (!chains) return nullptr;
  for (const std::string& protocol : hello.application_protocols)
    for (const auto& [name, chain] : chains->named)
      if (name == protocol) return chain;
  return chains->any;
}

const FilterChain* ChainIndex::find(const ByBytes& at, const TlsHello& hello) {
  const std::string& name = hello.server_name;
  if (!name.empty()) {
    if (const auto it = at.exact.find(name); it != at.exact.end()) return find(it->second, hello);
    if (!at.suffix.empty()) {
      // Names end in something: a dot as last character starts no suffix.
      for (size_t dot = name.find('.', 1); dot != std::string::npos && dot + 1 < name.size();
           dot = name.find('.', dot + 1))
        if (const auto it = at.suffix.find(name.substr(dot)); it != at.suffix.end())
          return find(it->second, hello);
    }
  }
  return find(at.unnamed, hello);
}

ChainIndex::Answer ChainIndex::find(const SocketAddress& destination, const TlsHello* hello) const {
  const ByAddress* addresses = &any_port_;
  if (!ports_.empty())
    if (const auto it = ports_.find(destination.port); it != ports_.end()) addresses = &it->second;
  for (const auto& length : destination.ip.is_v6() ? addresses->v6 : addresses->v4) {
    const auto it = length.blocks.find(destination.ip.masked(length.bits));
    if (it == length.blocks.end()) continue;
    const ByBytes& node = *it->second;
    if (node.plain) return {node.plain, false};
    if (!hello) return {nullptr, true};
    return {find(node, *hello), false};
  }
  return {};
}

}  // namespace sockmesh::model
