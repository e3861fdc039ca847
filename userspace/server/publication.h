// Publication: what becomes of a pod's new snapshot: each observer acts by it, in the order in which they
// were added, and then it is the one in force. Open connections keep the one that routed them. Main thread.
#pragma once

#include <functional>
#include <vector>

#include "pod/pod.h"

namespace sockmesh::server {

class Publication {
 public:
  using Observer = std::function<void(const model::SnapshotPtr&)>;

  explicit Publication(pod::Pod& pod) : pod_(pod) {}
  void add(Observer observer) { observers_.push_back(std::move(observer)); }
  void publish(model::SnapshotPtr next);

 private:
  pod::Pod& pod_;
  std::vector<Observer> observers_;
};

}  // namespace sockmesh::server
