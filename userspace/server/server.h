// The agent from start to end. Returns the exit status: 0 after an orderly end, 1 when it could not start.
#pragma once

#include "server/options.h"

namespace sockmesh::server {

int run(const Options& options);

}  // namespace sockmesh::server
