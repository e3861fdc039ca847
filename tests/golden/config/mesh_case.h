// A small mesh written in one file: manifests, and on top, as comments, which proxy looks at it and what is
// tried (the form is described in seen/README.md).
#pragma once

#include <set>
#include <string>
#include <vector>

#include "config/compiler/compiler.h"
#include "model/match.h"

namespace sockmesh::config {

struct Probe {
  std::string text;  // "10.96.1.10:9000 tls a.example.com", "in 9000"
  bool inbound = false;
  SocketAddress address;  // inbound: of the pod
  int times = 1;
  bool hold = false;
  std::optional<model::TlsHello> hello;  // absent: the client waits for the server
  bool http_bytes = false;               // what it sends looks like HTTP/1
};

struct MeshCase {
  std::string name;
  Resources resources;
  ProxyIdentity proxy;
  std::vector<Probe> probes;
  std::set<IpAddress> refusing;
};

// The Nodes of every case.
std::string node_manifests();
// Fails the running test case when a manifest cannot be read.
MeshCase read_case(const std::string& path);
Probe parse_probe(const std::string& text, const IpAddress& pod);

// The same objects in another order of reading.
void shuffle(Resources& resources, uint64_t seed);

}  // namespace sockmesh::config
