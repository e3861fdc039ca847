#include "server/publication.h"

namespace sockmesh::server {

void Publication::publish(model::SnapshotPtr next) {
  for (const Observer& observer : observers_) observer(next);
  pod_.set_snapshot(std::move(next));
}

}  // namespace sockmesh::server
