// The compiler: Resources and "which proxy am I" in, Snapshot out. Pure and deterministic: the same resources
// in any order give the same Snapshot, and it decides as istiod and Envoy together would for everything that
// concerns TCP (docs/istio.md). Asked by the agent, and offline by sockmeshctl's reading commands and
// `apply --plan`.
#pragma once

#include <memory>
#include <vector>

#include "config/resources/proxy.h"
#include "config/resources/resources.h"
#include "model/snapshot.h"

namespace sockmesh::config {

// Never fails: what is wrong with a resource becomes a finding of the snapshot, and the rest is compiled.
model::SnapshotPtr compile(const Resources& resources, const ProxyIdentity& proxy);

// The same for several proxies of one mesh, and for a source whose resources change one by one: what is of
// the mesh is built once for all of them (mesh.h); it remembers the last compilation, makes anew only what
// the change concerns (changes.h) and shares the rest. What it returns equals compile() of the same resources
// for each proxy, but for the generation, which it counts for each. Objects that did not change must be the
// same pointers. One thread.
class Compiler {
 public:
  explicit Compiler(std::vector<ProxyIdentity> proxies);
  ~Compiler();

  // What to remember between changes: some 4 KB an object, and a change is compiled in milliseconds; or
  // nothing, and it is compiled with all the rest.
  enum class Keep : uint8_t { kResources, kNothing };
  // A snapshot for each proxy, in their order: the last one itself when nothing changed that the proxy has to
  // do with and that is known; else one of the next generation. `left_out` has true in the places of proxies
  // that these resources are not for: they get null, and next time a snapshot made in full.
  std::vector<model::SnapshotPtr> compile(Resources resources, Keep keep = Keep::kResources,
                                          const std::vector<bool>& left_out = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sockmesh::config
