// OwnDials: tells how often what a connection carries has passed through this agent. Rules that redirect the
// agent's own traffic (the exemption of its user is missing), or routes that lead in a circle, bring what it
// dials back to its listening sockets. So each connection that is accepted, and each that is dialled for it,
// is entered with both addresses: the two ends of one connection find each other, whichever is entered first,
// since another worker may accept before the one that dials has the time to say so. Shared by all workers.
// Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "base/address.h"
#include "base/arithmetic.h"
#include "base/mutex.h"

namespace sockmesh::upstream {

class OwnDials {
  using Key = std::pair<SocketAddress, SocketAddress>;  // who dials, who is dialled

 public:
  using Passes = std::shared_ptr<std::atomic<uint32_t>>;

  // Entered as long as it lives.
  class Entry {
   public:
    Entry() = default;
    Entry(Entry&& other) noexcept { *this = std::move(other); }
    Entry& operator=(Entry&& other) noexcept {
      std::swap(dials_, other.dials_);
      std::swap(key_, other.key_);
      std::swap(accepted_, other.accepted_);
      std::swap(passes_, other.passes_);
      return *this;
    }
    ~Entry() {
      if (dials_) dials_->remove(*this);
    }
    const Passes& passes() const {
      return passes_;
    }  // of an accepted one: through the agent, this time included

   private:
    friend class OwnDials;
    OwnDials* dials_ = nullptr;
    Key key_;
    bool accepted_ = false;
    Passes passes_;
  };

  Entry accepted(const SocketAddress& from, const SocketAddress& to);
  // `passes` of the accepted connection that it is dialled for; null: nothing is entered.
  Entry dialled(const SocketAddress& local, const SocketAddress& remote, const Passes& passes);
  // Whether a connection with these addresses is entered, accepted or dialled.
  bool entered(const SocketAddress& from, const SocketAddress& to) const;

 private:
  struct Hash {
    SOCKMESH_WRAPS size_t operator()(const Key& key) const {
      const std::hash<SocketAddress> hash;
      return hash(key.first) * 31 + hash(key.second);
    }
  };
  // Workers seldom meet: a shard is locked for one look-up.
  struct Shard {
    mutable Mutex mutex;
    std::unordered_map<Key, Passes, Hash> dialled SOCKMESH_GUARDED_BY(mutex), accepted
        SOCKMESH_GUARDED_BY(mutex);
  };
  Entry entry(const SocketAddress& from, const SocketAddress& to, bool accepted, Passes passes);
  void remove(const Entry& entry);
  Shard& shard_of(const Key& key) { return shards_[Hash{}(key) % shards_.size()]; }
  const Shard& shard_of(const Key& key) const { return shards_[Hash{}(key) % shards_.size()]; }

  std::array<Shard, 16> shards_;
};

}  // namespace sockmesh::upstream
