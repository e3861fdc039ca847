// The start-up self-test of lane 3: whether this kernel leads, marks, counts and tells as docs/direct.md
// wants it. It has programs and maps of its own, attached to this process's own cgroup for a moment, with
// decisions about documentation addresses alone: nobody else's connection is touched. Takes some
// milliseconds, sends no packet beyond loopback, needs no route. One thread at a time; the privileges of
// DirectMaps::open().
#pragma once

#include <string>

#include "bpf/self_test.h"

namespace sockmesh::bpf {

// `cgroup`: the folder of cgroup v2 in which this process is.
SelfTestReport run_direct_self_test(const std::string& cgroup);

}  // namespace sockmesh::bpf
