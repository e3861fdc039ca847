#include "connection/acceptor.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace sockmesh::connection {

namespace {

// Connections taken per turn of the loop, so that a burst does not starve those that are open.
constexpr int kBatch = 64;
// Out of descriptors or memory: somebody must close first. Held for want of a configuration: resume() comes.
constexpr Duration kRetryPause = std::chrono::milliseconds(100);

bool out_of_resources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Acceptor::Acceptor(event::Loop& loop, Connections& connections, Fd listener, Entry entry)
    : connections_(connections),
      listener_(std::move(listener)),
      entry_(std::make_shared<const Entry>(std::move(entry))),
      retry_(loop.timer([this] { resume(); })) {
  listener_.watch(loop, EPOLLIN, [this](uint32_t) { readable(); });
}

Acceptor::~Acceptor() = default;

void Acceptor::resume() {
  retry_->cancel();
  listener_.set_events(EPOLLIN);
}

void Acceptor::take_waiting() {
  pollfd waiting{listener_.get(), POLLIN, 0};
  while (connections_.may_accept() && poll(&waiting, 1, 0) == 1 && (waiting.revents & POLLIN)) readable();
}

void Acceptor::pause(Duration retry_after) {
  listener_.set_events(0);
  retry_->set(retry_after);
}

void Acceptor::readable() {
  for (int i = 0; i < kBatch; ++i) {
    if (!connections_.may_accept()) return pause(kRetryPause);
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    Fd socket(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&storage), &length,
                      SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (out_of_resources(errno)) {
        spdlog::warn("accept on port {}: {}; new connections wait", entry_->port, std::strerror(errno));
        return pause(kRetryPause);
      }
      // EAGAIN: all taken. Else the connection at the head died while it waited; the next one may be well.
      if (errno == EAGAIN) return;
      continue;
    }
    auto remote = SocketAddress::from(reinterpret_cast<const sockaddr*>(&storage), length);
    if (!remote) continue;
    connections_.accept({std::move(socket), *remote, entry_});
  }
}

}  // namespace sockmesh::connection
