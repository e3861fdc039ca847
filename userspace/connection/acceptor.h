// Acceptor: takes connections from one listening socket of one worker. Pauses while no more can be taken
// (no configuration yet and enough held, or out of descriptors); the kernel's backlog waits meanwhile.
// Worker thread only.
#pragma once

#include <memory>

#include "base/fd.h"
#include "connection/connections.h"
#include "event/watched_fd.h"

namespace sockmesh::connection {

class Acceptor {
 public:
  Acceptor(event::Loop& loop, Connections& connections, Fd listener, Entry entry);
  ~Acceptor();  // closes the listening socket: connections in its backlog are reset by the kernel

  void resume();        // after a configuration arrived
  void take_waiting();  // all that the kernel has completed, before it is closed
  const Entry& entry() const { return *entry_; }

 private:
  void readable();
  void pause(Duration retry_after);

  Connections& connections_;
  event::WatchedFd listener_;
  const std::shared_ptr<const Entry> entry_;
  std::unique_ptr<event::Timer> retry_;
};

}  // namespace sockmesh::connection
