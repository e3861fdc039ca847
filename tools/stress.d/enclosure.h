// Enclosure: a run in a pid, mount and temporary-file space of its own, so that nothing of it stays behind
// whatever happens to it: when its first process ends, by SIGKILL too, the kernel ends all the others, and
// network namespaces go with them.
#pragma once

#include <functional>

namespace sockmesh::stress {

// Runs `work` in a child that is process 1 of the enclosure, passes SIGINT and SIGTERM on to it, and ends
// this process with its exit status; returns only where there can be no enclosure, with the status for that.
// Removes the folder of a run that was killed. Needs root.
int run_enclosed(const std::function<int()>& work);

}  // namespace sockmesh::stress
