#include "server.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "protocol.h"
#include "sockets.h"

namespace sockmesh::bench {
namespace {

constexpr size_t kBuffer = 256 * 1024;

struct Connection {
  Fd fd;
  Greeting greeting{};
  size_t greeting_bytes = 0;  // of `greeting` that came in
  uint64_t received = 0;      // after the greeting
  uint64_t owed = 0;          // bytes of answers not sent yet
  bool waits_to_send = false;
};

class Server {
 public:
  explicit Server(const SocketAddress& address)
      : listener_(listen_on(address)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    arm(listener_.get(), EPOLLIN, EPOLL_CTL_ADD);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 64> events;
    while (true) {
      const int count = epoll_wait(epoll_.get(), events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        if (fd == listener_.get()) {
          accept_all();
        } else if (!serve(*connections_.at(fd))) {
          connections_.erase(fd);
        }
      }
    }
  }

 private:
  void arm(int fd, uint32_t events, int change) {
    epoll_event event{.events = events, .data = {.fd = fd}};
    if (epoll_ctl(epoll_.get(), change, fd, &event) != 0) die("epoll_ctl");
  }

  void accept_all() {
    while (true) {
      Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) return;
      const int on = 1;
      setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      arm(fd.get(), EPOLLIN, EPOLL_CTL_ADD);
      const int key = fd.get();
      connections_[key] = std::make_unique<Connection>();
      connections_[key]->fd = std::move(fd);
    }
  }

  // False when the connection is over.
  bool serve(Connection& connection) {
    while (connection.owed == 0) {
      const ssize_t got = recv(connection.fd.get(), buffer_.data(), buffer_.size(), 0);
      if (got < 0) return errno == EAGAIN;
      if (got == 0) {
        if (connection.greeting.kind == Kind::kUpload) {
          send(connection.fd.get(), &connection.received, sizeof connection.received, MSG_NOSIGNAL);
        }
        return false;
      }
      take(connection, static_cast<size_t>(got));
      if (!answer(connection)) return false;
      // Level-triggered epoll comes back if there is more; a full read says there is.
      if (static_cast<size_t>(got) < buffer_.size()) return true;
    }
    return answer(connection);
  }

  void take(Connection& connection, size_t length) {
    size_t skip = 0;
    if (connection.greeting_bytes < sizeof(Greeting)) {
      skip = std::min(sizeof(Greeting) - connection.greeting_bytes, length);
      std::memcpy(reinterpret_cast<char*>(&connection.greeting) + connection.greeting_bytes, buffer_.data(),
                  skip);
      connection.greeting_bytes += skip;
    }
    const uint64_t before = connection.received;
    connection.received += length - skip;
    if (connection.greeting_bytes < sizeof(Greeting)) return;
    if (connection.greeting.kind == Kind::kDownload) connection.owed = UINT64_MAX;  // until the client closes
    if (connection.greeting.kind == Kind::kExchange && connection.greeting.size > 0) {
      const uint64_t size = connection.greeting.size;
      connection.owed += (connection.received / size - before / size) * size;
    }
  }

  bool answer(Connection& connection) {
    while (connection.owed > 0) {
      const size_t length = std::min<uint64_t>(connection.owed, buffer_.size());
      const ssize_t put = send(connection.fd.get(), buffer_.data(), length, MSG_NOSIGNAL);
      if (put < 0 && errno != EAGAIN) return false;
      if (put < 0) break;
      connection.owed -= static_cast<uint64_t>(put);
      if (connection.greeting.kind == Kind::kDownload) break;  // the others in turn
    }
    const bool wait = connection.owed > 0;
    if (wait != connection.waits_to_send) arm(connection.fd.get(), wait ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    connection.waits_to_send = wait;
    return true;
  }

  Fd listener_;
  Fd epoll_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::vector<char> buffer_ = std::vector<char>(kBuffer);
};

}  // namespace

void serve(const SocketAddress& address) { Server(address).run(); }

}  // namespace sockmesh::bench
