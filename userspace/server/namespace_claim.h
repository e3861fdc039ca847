// NamespaceClaim: one agent a network namespace. Two that listen on the same ports with the same user would
// share them (SO_REUSEPORT), each getting some of the pod's connections, and whoever ends resets those that
// wait in its backlogs. Run directories don't keep them apart: containers of a pod have file systems of their
// own. So before any port is bound an agent takes a name that there is once in a network namespace, an
// abstract Unix socket, which goes with its process, however that ends.
//
// Whoever connects to it is told who holds it, in one line, and nothing is read from anybody. Anything in the
// pod can take the name first, as it can take port 15001; then the agent says so and does not start.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "event/watched_fd.h"

namespace sockmesh::server {

class NamespaceClaim {
 public:
  static constexpr std::string_view kName = "sockmesh-agent";  // "@sockmesh-agent" in /proc/net/unix
  static constexpr size_t kMaxHolder = 400;                    // bytes of the line
  // So long the holder may take to say who it is: it is told by its main thread, which may be starting.
  static constexpr std::chrono::milliseconds kPatience{500};

  // `holder` is what others are told: "pod db-0.data, run-dir /run/sockmesh". Fails when somebody has the
  // namespace, and then names who ("pid 4711, pod db-1.data, ..."), as far as it can be known; has no value
  // where such sockets are refused altogether (a sandbox), since ports are bound by their first owner alone
  // anyway (net::PortGroup). Any thread, the calling thread's namespace; blocks up to kPatience.
  static Result<NamespaceClaim> take(std::string holder, std::string_view name = kName);
  NamespaceClaim(NamespaceClaim&&) = default;
  NamespaceClaim& operator=(NamespaceClaim&&) = default;

  // From here on whoever asks gets the line. Thread: the loop's, which must outlive this.
  void answer(event::Loop& loop);
  // The next agent may have the namespace: nobody listens here any more.
  void release() { socket_.reset(); }
  bool held() const { return static_cast<bool>(socket_); }

 private:
  NamespaceClaim(event::WatchedFd socket, std::string line)
      : socket_(std::move(socket)), line_(std::move(line)) {}

  event::WatchedFd socket_;
  std::string line_;
};

}  // namespace sockmesh::server
