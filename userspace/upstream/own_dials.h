// OwnDials: the connections that this agent has opened itself, each with how often what it carries has passed
// through the agent. Rules that redirect the agent's own traffic (the exemption of its user is missing), or
// routes that lead in a circle, bring them back to its listening sockets; a connection that is accepted is
// looked for here, so that a circle is noticed. Shared by all workers. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "base/address.h"

namespace sockmesh::upstream {

class OwnDials {
 public:
  // Known as long as it lives.
  class Entry {
   public:
    Entry() = default;
    Entry(Entry&& other) noexcept { *this = std::move(other); }
    Entry& operator=(Entry&& other) noexcept {
      std::swap(dials_, other.dials_);
      std::swap(key_, other.key_);
      return *this;
    }
    ~Entry() {
      if (dials_) dials_->remove(key_);
    }

   private:
    friend class OwnDials;
    std::pair<SocketAddress, SocketAddress> key_;  // local, remote
    OwnDials* dials_ = nullptr;
  };

  // A connection from `local` to `remote`, made for one that has passed through the agent `passes` times.
  Entry add(const SocketAddress& local, const SocketAddress& remote, uint32_t passes);
  // Of a connection between these, as its accepting side sees them; 0: not ours.
  uint32_t passes(const SocketAddress& from, const SocketAddress& to) const;

 private:
  using Key = std::pair<SocketAddress, SocketAddress>;
  struct Hash {
    size_t operator()(const Key& key) const {
      const std::hash<SocketAddress> hash;
      return hash(key.first) * 31 + hash(key.second);
    }
  };
  // Workers seldom meet: a shard is locked for one look-up.
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<Key, uint32_t, Hash> passes;
  };
  void remove(const Key& key);
  const Shard& shard_of(const Key& key) const { return shards_[Hash{}(key) % shards_.size()]; }
  Shard& shard_of(const Key& key) { return shards_[Hash{}(key) % shards_.size()]; }

  std::array<Shard, 16> shards_;
};

}  // namespace sockmesh::upstream
