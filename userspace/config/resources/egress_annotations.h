// Annotations of a pod with egress lists of its own (userspace/config/README.md#egress-lists). The reader
// must not lose one, the compiler decides by them.
#pragma once

namespace sockmesh::config {

inline constexpr char kEgressPermit[] = "sockmesh.io/egressPermit";  // comma list of CIDR blocks
inline constexpr char kEgressBlock[] = "sockmesh.io/egressBlock";    // the same, or * for everything

}  // namespace sockmesh::config
