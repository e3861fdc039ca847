#include "net/cgroup.h"

#include <catch2/catch.hpp>

using sockmesh::net::own_cgroup;
using sockmesh::net::pod_cgroup_of;

namespace {

const char* kUnified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const char* kHybrid =
    "29 23 0:25 / /sys/fs/cgroup ro shared:8 - tmpfs tmpfs ro\n"
    "30 29 0:26 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
    "31 29 0:27 / /sys/fs/cgroup/cpu rw shared:10 - cgroup cgroup rw,cpu\n";

}  // namespace

TEST_CASE("a process's cgroup is found through its mounts") {
  CHECK(own_cgroup("0::/kubepods/pod1/c\n", kUnified).value() == "/sys/fs/cgroup/kubepods/pod1/c");
  CHECK(own_cgroup("12:cpu:/a\n0::/system.slice/x.service\n", kHybrid).value() ==
        "/sys/fs/cgroup/unified/system.slice/x.service");
  CHECK(own_cgroup("0::/\n", kUnified).value() == "/sys/fs/cgroup");  // a cgroup namespace of its own
  // A container that was given a part of the hierarchy.
  const char* part = "30 23 0:26 /kubepods/pod1 /my\\040groups rw - cgroup2 cgroup2 rw\n";
  CHECK(own_cgroup("0::/kubepods/pod1/c\n", part).value() == "/my groups/c");
  CHECK(own_cgroup("0::/kubepods/pod1\n", part).value() == "/my groups");
  CHECK_FALSE(own_cgroup("0::/kubepods/pod11/c\n", part));
  CHECK_FALSE(own_cgroup("12:cpu:/a\n", kHybrid));
  CHECK_FALSE(own_cgroup("0::/a\n", ""));
  CHECK_FALSE(own_cgroup("0::/a\n", "1 2 3 - cgroup2\n"));
  CHECK(own_cgroup());
}

TEST_CASE("a pod's cgroup is named as kubelet names it, by either driver") {
  const std::string uid = "6a1c5d3e-0b9f-4b7e-9a52-1f2e3d4c5b6a",
                    underscores = "6a1c5d3e_0b9f_4b7e_9a52_1f2e3d4c5b6a";
  for (const std::string& pod :
       {"/sys/fs/cgroup/kubepods/burstable/pod" + uid, "/sys/fs/cgroup/kubepods/pod" + uid,
        "/sys/fs/cgroup/kubelet/kubepods/besteffort/pod" + uid,
        "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + underscores +
            ".slice",
        "/sys/fs/cgroup/kubepods.slice/kubepods-pod" + underscores + ".slice"}) {
    CHECK(pod_cgroup_of(pod + "/cri-containerd-0123.scope") == pod);
    CHECK_FALSE(pod_cgroup_of(pod));  // nobody of the pod is there
  }
  for (const char* other :
       {"/sys/fs/cgroup", "/", "", "/sys/fs/cgroup/system.slice/sockmesh.service", "/sys/fs/cgroup/podman/c",
        "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/c", "/sys/fs/cgroup/kubepods/burstable/c"})
    CHECK_FALSE(pod_cgroup_of(other));
}
