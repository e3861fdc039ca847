// Publication: what becomes of a new snapshot: each observer acts by it, in the order in which they were
// added, and then it is what snapshot() tells. Open connections keep the one that routed them. Main thread,
// except where said.
#pragma once

#include <functional>
#include <vector>

#include "base/mutex.h"
#include "model/snapshot.h"

namespace sockmesh::server {

class Publication {
 public:
  using Observer = std::function<void(const model::SnapshotPtr&)>;

  void add(Observer observer) { observers_.push_back(std::move(observer)); }
  void publish(model::SnapshotPtr next);
  model::SnapshotPtr snapshot() const;  // any thread; null pointer: none was published

 private:
  std::vector<Observer> observers_;
  mutable Mutex mutex_;
  model::SnapshotPtr snapshot_ SOCKMESH_GUARDED_BY(mutex_);
};

}  // namespace sockmesh::server
