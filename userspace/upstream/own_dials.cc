#include "upstream/own_dials.h"

#include <algorithm>

namespace sockmesh::upstream {

OwnDials::Entry OwnDials::entry(const SocketAddress& from, const SocketAddress& to, bool accepted,
                                Passes passes) {
  Entry entry;
  entry.dials_ = this;
  entry.key_ = {from, to};
  entry.accepted_ = accepted;
  entry.passes_ = std::move(passes);
  return entry;
}

OwnDials::Entry OwnDials::accepted(const SocketAddress& from, const SocketAddress& to) {
  Entry made = entry(from, to, true, std::make_shared<std::atomic<uint32_t>>(1));
  Shard& shard = shard_of(made.key_);
  const Lock lock(shard.mutex);
  const auto ours = shard.dialled.find(made.key_);
  if (ours != shard.dialled.end()) *made.passes_ = *ours->second + 1;
  shard.accepted[made.key_] = made.passes_;
  return made;
}

OwnDials::Entry OwnDials::dialled(const SocketAddress& local, const SocketAddress& remote,
                                  const Passes& passes) {
  if (!passes) return {};
  Entry made = entry(local, remote, false, passes);
  Shard& shard = shard_of(made.key_);
  const Lock lock(shard.mutex);
  shard.dialled[made.key_] = passes;
  const auto there = shard.accepted.find(made.key_);
  if (there != shard.accepted.end()) *there->second = std::max<uint32_t>(*there->second, *passes + 1);
  return made;
}

bool OwnDials::entered(const SocketAddress& from, const SocketAddress& to) const {
  const Key key{from, to};
  const Shard& shard = shard_of(key);
  const Lock lock(shard.mutex);
  return shard.accepted.contains(key) || shard.dialled.contains(key);
}

void OwnDials::remove(const Entry& entry) {
  Shard& shard = shard_of(entry.key_);
  const Lock lock(shard.mutex);
  auto& map = entry.accepted_ ? shard.accepted : shard.dialled;
  const auto found = map.find(entry.key_);
  // The addresses may be in use again by the time this one is let go.
  if (found != map.end() && found->second == entry.passes_) map.erase(found);
}

}  // namespace sockmesh::upstream
