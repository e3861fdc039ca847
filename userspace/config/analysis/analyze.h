// What is wrong with a mesh before it bites: the findings of `istioctl analyze` that concern TCP, with
// Istio's codes, levels and wording (docs/istio.md#analyze), and ours (codes SM...), which tell where one
// object changes what happens to another's traffic, and the smallest change that cures it. A pure function of
// what is declared, any thread.
//
//   SM0001  a service without an address takes a port over on every address
//   SM0002  a port is held by an older service without an address
//   SM0003  an address and port are held by an older object
//   SM0004  an ExternalName Service takes a port over (compatibilityVersion 1.5)
//   SM0005  a Gateway's port is not exposed by its Service: the patch
//   SM0006  HTTP routes, which are not applied at layer 4
//   SM0007  a share of a weighted route reaches nobody
//   SM0008  a Gateway's server loses its port to another
//   SM0009  endpoints that nobody selects
//   SM0010  a Gateway's TCP port is not opened, no route leads on from it
//   SM0011  a TCP route that can never match
//   SM0012  a Service without an address
//   SM0013  a DestinationRule's TLS, which is not applied
//   SM0014  a security policy, which is not enforced
//   SM0015  DYNAMIC_DNS, which is approximated
//   SM0203  a gateway's server terminates TLS
//   SM0206  a Sidecar listens on a Unix socket
#pragma once

#include <string_view>
#include <vector>

#include "config/resources/read_problem.h"
#include "config/resources/resources.h"
#include "model/snapshot.h"

namespace sockmesh::config {

// Findings sorted by object, then code; those that their object's annotation galley.istio.io/analyze-suppress
// names are left out. What could not be read (`problems`) is among them, as IST0106.
std::vector<model::Finding> analyze(const Resources& resources,
                                    const std::vector<ReadProblem>& problems = {});

struct Analyzer {
  std::string_view name, description;
};
const std::vector<Analyzer>& analyzers();  // for a listing, in the order in which they run

}  // namespace sockmesh::config
