// Meshes made at random, small and full of conflicts: the same addresses, ports and names again and again.
#pragma once

#include <random>

#include "config/compiler/compiler.h"

namespace sockmesh::config {

Resources random_mesh(std::mt19937_64& random);
ProxyIdentity random_client();  // pod "client" of namespace "n0", which every mesh has

// One object added, removed or changed; the others stay the same objects.
void change_one(Resources& resources, std::mt19937_64& random);

}  // namespace sockmesh::config
