// Lane 3's self-test on this kernel, and what it says where it cannot be run.
#include "bpf/direct_self_test.h"

#include <catch2/catch.hpp>

#include "direct_pod.h"

namespace sockmesh::test {

TEST_CASE("this kernel passes the self-test of lane 3, in a pod's namespace without any route") {
  const Cgroup cgroup;
  const PodNamespace pod;
  cgroup.enter();
  for (int again = 0; again < 2; ++again) {
    const bpf::SelfTestReport report = bpf::run_direct_self_test(cgroup.path());
    INFO(report.failures());
    CHECK(report.passed());
    CHECK(report.verdicts.size() == 5);
  }
}

TEST_CASE("a self-test that cannot be run says why") {
  CHECK(bpf::run_direct_self_test("/nowhere").failures().find("/nowhere") != std::string::npos);
  // Attached to a cgroup in which this process is not, nothing is led: the kernel is not what it should be.
  const Cgroup other;
  const PodNamespace pod;
  const bpf::SelfTestReport report = bpf::run_direct_self_test(other.path());
  CHECK_FALSE(report.passed());
  CHECK(report.failures().find("ipv4: connecting to 192.0.2.") != std::string::npos);
}

}  // namespace sockmesh::test
