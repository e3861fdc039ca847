// What this machine cannot do is said loudly: `if (!has_it()) return skip("this kernel has no netem");` and
// the test program ends with status 77, which ctest counts as skipped and not as passed. A run of several
// cases ends so if all of them were skipped. Link sockmesh::needs_root, or sockmesh::skips where no root is
// needed. From the test's thread.
#pragma once

#include <string>

namespace sockmesh::test {

void skip(const std::string& reason);
// Of a lane of the data path. With SOCKMESH_TEST_LANES=all, for machines that are known to have them all, its
// want is a failure.
void skip_lane(const std::string& reason);

}  // namespace sockmesh::test
