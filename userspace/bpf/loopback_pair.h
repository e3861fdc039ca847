// A connected, non-blocking TCP pair on 127.0.0.1 in the current network namespace: what a self-test may use
// without anybody else noticing. 127.0.0.1 because interception rules never capture it, and because a pod
// always has it while IPv6 may be absent. Any thread.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace sockmesh::bpf {

struct LoopbackPair {
  Fd connecting, accepted;
};
Result<LoopbackPair> open_loopback_pair();

}  // namespace sockmesh::bpf
