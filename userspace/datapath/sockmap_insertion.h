// Insertion: takes two established sockets, of which user space holds no bytes, into lane 1
// (docs/sockmap.md#the-steps, 3 to 7). Thread rule: the thread of the flow.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "bpf/splice_pair.h"
#include "datapath/relay.h"

namespace sockmesh::datapath {

struct Inserted {
  bpf::SplicePair pair;
  // Empty: armed. Otherwise one side did not go in (its FIN came first), and why: the flow has to be copied
  // for its whole life, since a socket that is in cannot be taken out.
  std::string copied_because;
  // By side: the error of a socket that failed meanwhile. The kernel tells it once.
  std::array<std::optional<Error>, 2> failed;
};

// An error leaves the sockets as they were, but set to be reset when they are closed, as lane 0 has them too;
// the flow stays there. `arm` false: both go in, but the verdict PASSes until arm() (the lanes are switched
// off at the moment).
Result<Inserted> insert_into_sockmap(bpf::SpliceMaps& maps, const Pair& sockets, uint32_t ring, bool arm);

}  // namespace sockmesh::datapath
