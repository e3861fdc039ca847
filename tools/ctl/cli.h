// The whole of sockmeshctl but its process: arguments in, exit status out, everything else through the World.
#pragma once

#include <string>
#include <vector>

#include "ctl/world.h"

namespace sockmesh::ctl {

// `arguments` without the program's name.
int run(std::vector<std::string> arguments, World& world);

}  // namespace sockmesh::ctl
