// SockmapRelay: a relay that moves between lane 0 and lane 1. What happens to a flow:
//
//   user relay --(policy: it pays)--> hand-over --> insertion --> SockmapFlow: redirects <--(policy)--> copies
//       ^                                |              |
//       +------- refused, or too late ---+--------------+
//
// Lane 0 is whatever the worker's user relay is; it always gets the flow back when lane 1 does not take it.
// In mode "sockmap" a flow starts with the insertion, before anything is read. Contract and thread rule:
// datapath/relay.h.
#pragma once

#include <functional>
#include <memory>

#include "datapath/lane_policy.h"
#include "datapath/relay.h"
#include "datapath/sockmap_lane.h"

namespace sockmesh::datapath {

// Makes the lane 0 relay of the worker, already running.
using MakeUserRelay = std::function<std::unique_ptr<UserRelay>(Pair, const RelayOptions&, Done)>;

// `lane` must outlive the relay.
std::unique_ptr<Relay> make_sockmap_relay(SockmapLane& lane, MakeUserRelay make_user_relay, SpliceWish wish,
                                          Pair sockets, const RelayOptions& options, Done done);

}  // namespace sockmesh::datapath
