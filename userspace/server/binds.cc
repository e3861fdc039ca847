#include "server/binds.h"

#include <algorithm>
#include <iterator>

namespace sockmesh::server {

std::vector<Bind> wanted_binds(const model::Snapshot& snapshot) {
  std::vector<Bind> binds;
  for (const model::ListenerPtr& listener : snapshot.listeners) {
    if (!listener->bind_to_port) continue;
    for (const SocketAddress& address : listener->addresses)
      binds.push_back({address, listener->name, listener->direction});
  }
  std::sort(binds.begin(), binds.end());
  const auto same_address = [](const Bind& a, const Bind& b) { return a.address == b.address; };
  binds.erase(std::unique(binds.begin(), binds.end(), same_address), binds.end());
  return binds;
}

BindChanges bind_changes(const std::vector<Bind>& have, const std::vector<Bind>& want) {
  BindChanges changes;
  std::set_difference(want.begin(), want.end(), have.begin(), have.end(), std::back_inserter(changes.add));
  std::set_difference(have.begin(), have.end(), want.begin(), want.end(), std::back_inserter(changes.remove));
  return changes;
}

}  // namespace sockmesh::server
