// The BPF programs and maps that a process holds, and whether the kernel still has one: asked of the kernel
// by id, so that what somebody else holds is found as well.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>

namespace sockmesh::test {

std::set<std::string> bpf_objects(pid_t pid);  // "prog 12", "map 34"
bool bpf_object_exists(const std::string& object);
bool any_bpf_object_exists(const std::set<std::string>& objects);

}  // namespace sockmesh::test
