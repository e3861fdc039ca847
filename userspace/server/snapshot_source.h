// SnapshotSource: where the snapshots come from that the agent decides by: the objects of a ResourceSource,
// compiled (server/configuration.h); the interface has room for a control plane that sends what is compiled
// already. Runs on the main loop; status() may be asked from any thread.
#pragma once

#include <functional>

#include "admin/sources.h"
#include "model/snapshot.h"

namespace sockmesh::server {

class SnapshotSource {
 public:
  // To one proxy, of one generation after the other. Called from start(), reload(), or the loop.
  using Publish = std::function<void(model::SnapshotPtr)>;

  virtual ~SnapshotSource() = default;
  // Publishes at once when it can, else as soon as it can.
  virtual void start() = 0;
  virtual void reload() = 0;  // asks for everything again, whether or not something seems to have changed
  virtual admin::ConfigStatus status() const = 0;
};

}  // namespace sockmesh::server
