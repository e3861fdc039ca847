// Privileges: the agent starts as root to bind, to load BPF programs and to become somebody else; afterwards
// it is uid 1337 (which the interception rules let pass) with next to no capabilities. Main thread, before
// any other thread exists: capabilities belong to threads.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace sockmesh::server {

// What stays, and why it must.
struct KeptPrivileges {
  bool bind_low_ports = false;       // CAP_NET_BIND_SERVICE: gateways bind ports below 1024 as they come
  bool transparent_sources = false;  // CAP_NET_ADMIN, CAP_NET_RAW: TPROXY dials with the client's address
};

// Becomes uid:gid without supplementary groups, keeps what `kept` says and no other capability, and can never
// gain one again (no_new_privs). When we are not root, only gives up what we have too much.
Result<void> drop_privileges(uid_t uid, gid_t gid, const KeptPrivileges& kept);

// Raises the soft limit of descriptors to the hard one (at most a million) and returns it.
Result<size_t> raise_descriptor_limit();

}  // namespace sockmesh::server
