// The steps are numbered as in docs/sockmap.md#the-steps.
#include "datapath/sockmap_insertion.h"

#include "base/disturb.h"
#include "datapath/socket_bounds.h"

namespace sockmesh::datapath {

using bpf::Side;

// Else a worker would find the send queue closed although the verdict had reckoned with it.
static_assert(kUnsentBytes > bpf::SpliceMaps::Options{}.limit_bytes);

Result<Inserted> insert_into_sockmap(bpf::SpliceMaps& maps, const Pair& sockets, uint32_t ring, bool arm) {
  const int downstream = sockets.downstream.get(), upstream = sockets.upstream.get();
  bound_queues(downstream);
  bound_queues(upstream);
  // 3 and 4: a crash from here on is an RST for both peers, never a silent end; bases are read exactly.
  SOCKMESH_TRY(pair, bpf::SplicePair::prepare(maps, downstream, upstream, ring));

  // 5: into the map, both disarmed: until step 6 all bytes are PASSed, which keeps their order.
  SOCKMESH_CHECK(pair.insert(Side::kUpstream));
  disturb("insertion");
  std::string copied_because;
  if (auto in = pair.insert(Side::kDownstream); !in)
    copied_because = in.error().message;
  else if (arm)
    pair.arm();  // 6

  disturb("armed");
  // 7: bytes that were queued before the insertion wait for the next segment otherwise.
  Inserted inserted{std::move(pair), std::move(copied_because), {}};
  for (const Side side : {Side::kDownstream, Side::kUpstream})
    if (auto kicked = inserted.pair.kick(side); !kicked)
      inserted.failed[static_cast<size_t>(side)] = std::move(kicked).error();
  return inserted;
}

}  // namespace sockmesh::datapath
