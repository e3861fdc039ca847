#include "upstream/source_ports.h"

#include <algorithm>

namespace sockmesh::upstream {

std::optional<PortRange> ports_beside(const std::optional<PortRange>& seen) {
  if (!seen) return kQuietPorts;
  // It may come nearer, from either side: Linux goes upwards through its range from any port of it, and then
  // begins again with the first. So the far half of what is left, if that is enough.
  const uint32_t below = seen->first - kQuietPorts.first, above = kQuietPorts.last - seen->last;
  const uint32_t far_below = below - below / 2, far_above = above - above / 2;
  const auto from_first = [](uint32_t count) {
    return PortRange{kQuietPorts.first, static_cast<uint16_t>(kQuietPorts.first + count - 1)};
  };
  if (far_below >= kFewestPorts) return from_first(far_below);
  if (below >= kFewestPorts) return from_first(below);
  if (far_above >= kFewestPorts)
    return PortRange{static_cast<uint16_t>(kQuietPorts.last - far_above + 1), kQuietPorts.last};
  return std::nullopt;
}

uint16_t port_behind(uint16_t port, uint32_t count) {
  constexpr uint32_t kFirst = kQuietPorts.first, kPorts = 65536 - kFirst;
  const uint32_t from = std::max<uint32_t>(port, kFirst) - kFirst;
  return static_cast<uint16_t>(kFirst + (from + kPorts - 1 - count % kPorts) % kPorts);
}

void SourcePorts::seen(const SocketAddress& client) {
  const bool quiet = client.port >= kQuietPorts.first && client.port <= kQuietPorts.last;
  if (!quiet) return;
  const Lock lock(mutex_);
  if (clients_.size() == kMaxClients && !clients_.contains(client.ip))
    clients_.erase(std::min_element(clients_.begin(), clients_.end(), [](const auto& a, const auto& b) {
      return a.second.heard < b.second.heard;
    }));
  const auto [entry, added] = clients_.try_emplace(client.ip, Client{{client.port, client.port}, 0});
  PortRange& range = entry->second.range;
  range.first = std::min(range.first, client.port);
  range.last = std::max(range.last, client.port);
  entry->second.heard = ++clock_;
  remembered_.store(clients_.size(), std::memory_order_relaxed);
}

std::optional<PortRange> SourcePorts::range_of(const IpAddress& client) const {
  if (remembered_.load(std::memory_order_relaxed) == 0) return std::nullopt;
  const Lock lock(mutex_);
  const auto found = clients_.find(client);
  return found == clients_.end() ? std::nullopt : std::optional(found->second.range);
}

uint16_t SourcePorts::choose(const SocketAddress& client, uint32_t tries) {
  const auto range = ports_beside(range_of(client.ip));
  if (!range) return port_behind(client.port, tries);
  // Ports that are taken lie together, since they were taken one after the other. Leaps of the golden section
  // look everywhere else first (D. Knuth, TAOCP 3, 6.4).
  const auto leap = static_cast<uint32_t>(range->size() * 0.618034);
  const uint32_t turn = next_.fetch_add(1, std::memory_order_relaxed) % range->size();
  return static_cast<uint16_t>(range->first + (turn + tries * leap) % range->size());
}

}  // namespace sockmesh::upstream
