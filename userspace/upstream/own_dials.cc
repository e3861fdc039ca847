#include "upstream/own_dials.h"

namespace sockmesh::upstream {

OwnDials::Entry OwnDials::add(const SocketAddress& local, const SocketAddress& remote, uint32_t passes) {
  Entry entry;
  entry.key_ = {local, remote};
  entry.dials_ = this;
  Shard& shard = shard_of(entry.key_);
  const std::lock_guard lock(shard.mutex);
  shard.passes[entry.key_] = passes;
  return entry;
}

uint32_t OwnDials::passes(const SocketAddress& from, const SocketAddress& to) const {
  const Key key{from, to};
  const Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.passes.find(key);
  return found == shard.passes.end() ? 0 : found->second;
}

void OwnDials::remove(const Key& key) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  shard.passes.erase(key);
}

}  // namespace sockmesh::upstream
