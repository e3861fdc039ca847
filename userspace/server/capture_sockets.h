// Capture sockets: where a pod's rules send its connections: outbound and inbound, each in both families, and
// of each as many as there are workers. A gateway has none, nor has interception mode NONE. Made in the pod's
// network namespace; TPROXY needs CAP_NET_ADMIN for it, so before privileges are dropped.
#pragma once

#include <vector>

#include "connection/connections.h"
#include "server/options.h"

namespace sockmesh::server {

struct CaptureSocket {
  Fd socket;
  connection::Entry entry;
};

// Of each worker. The first one's are the first of their ports, the others' share with them.
Result<std::vector<std::vector<CaptureSocket>>> bind_capture_sockets(const pod::PodPtr& pod,
                                                                     Interception interception,
                                                                     unsigned workers);

}  // namespace sockmesh::server
