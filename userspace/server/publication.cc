#include "server/publication.h"

namespace sockmesh::server {

void Publication::publish(model::SnapshotPtr next) {
  for (const Observer& observer : observers_) observer(next);
  const Lock lock(mutex_);
  snapshot_ = std::move(next);
}

model::SnapshotPtr Publication::snapshot() const {
  const Lock lock(mutex_);
  return snapshot_;
}

}  // namespace sockmesh::server
