// Where this process is in cgroup v2, and which of the folders above is a Kubernetes pod's: that of all its
// containers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sockmesh::net {

// The folder of this process's cgroup, by way of its mounts. Any thread.
Result<std::string> own_cgroup();

// The same from the texts of /proc/self/cgroup and /proc/self/mountinfo (cgroups(7), proc_pid_mountinfo(5)).
// Beside hierarchies of version 1, too. Pure.
Result<std::string> own_cgroup(std::string_view cgroups, std::string_view mounts);

// The folder above, if it is named as kubelet names a pod's: ".../pod<uid>" with the cgroupfs driver,
// ".../kubepods[-burstable|-besteffort]-pod<uid>.slice" with systemd's. Pure.
std::optional<std::string> pod_cgroup_of(std::string_view own);

}  // namespace sockmesh::net
