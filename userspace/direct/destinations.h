// Destinations: where outbound connections go, by their destination address alone, as a table that three
// look-ups answer: an exact address and port, else the longest prefix of that port, else the longest prefix
// of any port. That is what a program at connect() can do (docs/direct.md#decisions). The answers are
// match()'s, asked once for each region in which they cannot differ: there is no second opinion. Pure; the
// table points into the snapshot, which has to outlive it.
#pragma once

#include <optional>
#include <vector>

#include "base/address.h"
#include "model/direct.h"
#include "model/snapshot.h"

namespace sockmesh::direct {

struct Answer {
  const model::Listener* listener = nullptr;
  const model::FilterChain* chain = nullptr;  // where it goes, if it may be direct; null: NR
  std::optional<model::NotDirect> why_not;    // absent: it may

  bool operator==(const Answer&) const = default;
};

struct Destinations {
  struct Exact {
    SocketAddress address;
    Answer answer;
  };
  struct Block {
    uint16_t port = 0;  // 0: any
    Prefix prefix;
    Answer answer;
  };
  std::vector<Exact> exact;   // by address
  std::vector<Block> blocks;  // by port, then prefix

  // What the kernel finds, or null: then the agent is asked.
  const Answer* find(const SocketAddress& destination) const;
};

Destinations destinations(const model::Snapshot& snapshot, const model::DirectTerms& terms);

}  // namespace sockmesh::direct
