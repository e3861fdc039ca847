// ProxyCompilation: what is compiled for one proxy, from one state of the mesh to the next. When few objects
// changed the proxy's view follows them, what the hosts concerned have in the snapshot is made anew by the
// same steps as in a full compilation, and the rest is shared with the snapshot before. Changes that concern
// everything that the proxy sees, and gateways, are compiled in full. Refers to the mesh, which has to
// outlive it or be forgotten. One thread, that of the mesh.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/compiler/build_snapshot.h"
#include "config/compiler/changes.h"
#include "config/compiler/outbound.h"
#include "config/compiler/proxy_view.h"

namespace sockmesh::config {

// Changes that a mesh follows, as its proxies are told of them.
struct FewChanges {
  const Changes& changes;
  HostSet hosts;         // that are concerned
  Registry definitions;  // of these hosts in the mesh as it is: before it followed, or after
};

class ProxyCompilation {
 public:
  explicit ProxyCompilation(ProxyIdentity identity) : identity_(std::move(identity)) {}

  // Whether there is a snapshot of the mesh as it is, to follow changes from.
  bool in_step() const { return view_.has_value(); }
  const std::shared_ptr<model::Snapshot>& snapshot() const { return built_.snapshot; }

  // In full, from now on in step with this mesh.
  void make(const Mesh& mesh);
  // Lets go of the mesh and the snapshot. The next one is made in full, and counted on.
  void forget();

  // Follows in two steps, before the mesh does, when `after` is yet to become its resources, and after.
  // Whoever is not in step stays so; whoever cannot follow forgets. The snapshot stays the same one when
  // nothing that the proxy has to do with changed.
  void prepare(const FewChanges& few, const Resources& after);
  void follow(const FewChanges& few);

 private:
  // What the hosts concerned had before.
  struct Prepared {
    bool unseen = false;  // the proxy had nothing to do with them
    HostSet routed;       // they, and those that lead to them
    AddressSet addresses;
    std::vector<Text> clusters;
  };

  ProxyIdentity identity_;
  std::optional<ProxyView> view_;
  Built built_;
  Prepared prepared_;
  uint64_t generation_ = 0;  // of the last snapshot
};

}  // namespace sockmesh::config
