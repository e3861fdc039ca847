// What would become of a connection, as far as configuration tells: the decision, then the clusters and hosts
// it may end at with their shares, and the flags of its log line.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mesh_case.h"
#include "model/match.h"

namespace sockmesh::config {

struct Ending {
  std::string cluster;   // "-": none, as with NC and NR
  std::string flags;     // "-"
  std::string upstream;  // "10.0.0.1:80", "198.18.*:80" of a name, "-"
  double share = 1;

  std::string text() const { return cluster + " " + upstream + (flags == "-" ? "" : " " + flags); }
};

struct Fate {
  std::string client;  // "silent": waits for bytes; "refused": nobody listens; "" otherwise
  std::vector<Ending> endings;
  model::Decision decision;
};

class Simulation {
 public:
  Simulation(const MeshCase& mesh, const model::Snapshot& snapshot) : mesh_(mesh), snapshot_(snapshot) {}
  // Remembers what is held open, for maxConnections.
  Fate play(const Probe& probe);

 private:
  std::vector<Ending> endings_of(const model::Cluster& cluster, const SocketAddress& dialled) const;
  const MeshCase& mesh_;
  const model::Snapshot& snapshot_;
  std::map<std::string, uint32_t> open_;
};

}  // namespace sockmesh::config
