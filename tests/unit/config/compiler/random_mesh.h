// Meshes made at random, small and full of conflicts: the same addresses, ports and names again and again.
#pragma once

#include <random>
#include <vector>

#include "config/compiler/compiler.h"

namespace sockmesh::config {

Resources random_mesh(std::mt19937_64& random);
ProxyIdentity random_client();  // pod "client" of namespace "n0", which every mesh has
// That client, whom a Sidecar may narrow, a sidecar of another namespace, and a gateway of a third.
std::vector<ProxyIdentity> random_proxies();

// One object added, removed or changed; the others stay the same objects.
void change_one(Resources& resources, std::mt19937_64& random);

}  // namespace sockmesh::config
