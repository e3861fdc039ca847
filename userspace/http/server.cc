#include "http/server.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "event/watched_fd.h"

namespace sockmesh::http {

namespace {

constexpr int kAcceptedPerTurn = 64;                                      // of one door
constexpr Duration kNoDescriptorsPause = std::chrono::milliseconds(100);  // then accepting is tried again

class SocketTransport final : public Transport {
 public:
  explicit SocketTransport(Fd fd) : fd_(std::move(fd)) {}
  event::WatchedFd& watched() { return fd_; }
  ssize_t read(char* into, size_t size) override { return ::recv(fd_.get(), into, size, 0); }
  ssize_t write(const iovec* parts, int count) override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts);
    message.msg_iovlen = static_cast<size_t>(count);
    return ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  }
  void end_writing() override { ::shutdown(fd_.get(), SHUT_WR); }

 private:
  event::WatchedFd fd_;
};

// Whoever has one address of an IPv6 /64 usually has all of them.
IpAddress peer_key(const SocketAddress& peer) { return peer.ip.is_v6() ? peer.ip.masked(64) : peer.ip; }

// Which state gives way first: the higher.
int readiness_to_go(ServerConnection::State state) {
  switch (state) {
    case ServerConnection::State::kClosed:
    case ServerConnection::State::kLingering:
      return 3;
    case ServerConnection::State::kReading:
      return 2;
    case ServerConnection::State::kWriting:
      return 1;
    case ServerConnection::State::kAnswering:
      return 0;
  }
  return 0;
}

}  // namespace

struct Server::Client : std::enable_shared_from_this<Client> {
  Client(Door& its_door, Fd fd, const SocketAddress& from, const ConnectionBounds& bounds, MonotonicTime now)
      : door(its_door),
        peer(from),
        key(peer_key(from)),
        transport(std::move(fd)),
        connection(transport, bounds, now) {}

  Door& door;
  const SocketAddress peer;
  const IpAddress key;
  SocketTransport transport;
  ServerConnection connection;
  std::unique_ptr<event::Timer> timer;
  MonotonicTime armed = MonotonicTime::max();  // what the timer stands at
  bool handed_over = false, dropped = false;
  Work work;
};

struct Server::Door {
  Door(Server& its_server, Fd fd, const DoorBounds& its_bounds, Handler its_handler)
      : server(its_server), listening(std::move(fd)), bounds(its_bounds), handler(std::move(its_handler)) {}

  void accept_some();
  void admit(Fd fd, const SocketAddress& peer);
  void give_way(const IpAddress& newcomer);
  void drive(const std::shared_ptr<Client>& client, uint32_t events);
  void settle(const std::shared_ptr<Client>& client);  // after any step: hand over, watch, timer, or the end
  void hand_over(const std::shared_ptr<Client>& client);
  void drop(const std::shared_ptr<Client>& client);

  Server& server;
  event::WatchedFd listening;
  const DoorBounds bounds;
  const Handler handler;
  std::unique_ptr<event::Timer> again;            // accepting, after the descriptors ran out
  std::list<std::shared_ptr<Client>> clients;     // oldest first
  std::unordered_map<IpAddress, size_t> of_peer;  // how many of them each peer has
};

void Server::Door::accept_some() {
  for (int i = 0; i < kAcceptedPerTurn; ++i) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    Fd fd(::accept4(listening.get(), reinterpret_cast<sockaddr*>(&from), &length,
                    SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno == ECONNABORTED || errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      // Out of descriptors or memory: the watch would come back at once and for ever.
      listening.set_events(0);
      again->set(kNoDescriptorsPause);
      return;
    }
    const auto peer = SocketAddress::from(reinterpret_cast<const sockaddr*>(&from), length);
    admit(std::move(fd), peer ? *peer : SocketAddress{});
  }
}

void Server::Door::admit(Fd fd, const SocketAddress& peer) {
  const auto client =
      std::make_shared<Client>(*this, std::move(fd), peer, bounds.connection, monotonic_now());
  give_way(client->key);
  clients.push_back(client);
  ++of_peer[client->key];
  client->timer = server.loop_.timer([this, weak = std::weak_ptr(client)] {
    const auto strong = weak.lock();
    if (!strong) return;
    strong->armed = MonotonicTime::max();
    const MonotonicTime now = monotonic_now();
    if (strong->connection.deadline() <= now) strong->connection.expired(now);
    settle(strong);
  });
  client->transport.watched().watch(server.loop_, EPOLLIN,
                                    [this, weak = std::weak_ptr(client)](uint32_t events) {
                                      if (const auto strong = weak.lock()) drive(strong, events);
                                    });
  drive(client, EPOLLIN);
}

void Server::Door::give_way(const IpAddress& newcomer) {
  const auto known = of_peer.find(newcomer);
  const bool peer_full = known != of_peer.end() && known->second >= bounds.per_peer;
  if (!peer_full && clients.size() < bounds.connections) return;
  std::shared_ptr<Client> loser;
  std::pair<size_t, int> best;  // how many its peer has, how little its state has to lose
  for (const auto& one : clients) {
    if (peer_full && one->key != newcomer) continue;
    const std::pair rank{of_peer[one->key], readiness_to_go(one->connection.state())};
    if (loser && rank <= best) continue;
    loser = one;
    best = rank;
  }
  drop(loser);
}

void Server::Door::drive(const std::shared_ptr<Client>& client, uint32_t events) {
  const MonotonicTime now = monotonic_now();
  ServerConnection& connection = client->connection;
  // A reset, or both directions at an end. (FIN alone is no reason: a client may close its half and wait.)
  const bool gone = events & (EPOLLERR | EPOLLHUP);
  if (gone && !connection.wants_to_read()) return drop(client);
  if (events & EPOLLOUT) connection.writable(now);
  if ((events & EPOLLIN) || gone) connection.readable(now);
  settle(client);
}

void Server::Door::settle(const std::shared_ptr<Client>& client) {
  ServerConnection& connection = client->connection;
  if (connection.state() == ServerConnection::State::kAnswering && !client->handed_over) hand_over(client);
  if (connection.state() == ServerConnection::State::kClosed) return drop(client);
  if (client->dropped) return;  // meanwhile
  client->transport.watched().set_events((connection.wants_to_read() ? EPOLLIN : 0u) |
                                         (connection.wants_to_write() ? EPOLLOUT : 0u));
  if (connection.deadline() == client->armed) return;
  client->armed = connection.deadline();
  if (client->armed == MonotonicTime::max()) return client->timer->cancel();
  client->timer->set(client->armed - monotonic_now());
}

void Server::Door::hand_over(const std::shared_ptr<Client>& client) {
  Request request = client->connection.take_request();
  request.peer = client->peer;
  client->handed_over = true;
  Work work = handler(std::move(request), [this, weak = std::weak_ptr(client)](Response response) {
    const auto strong = weak.lock();
    if (!strong || strong->connection.state() != ServerConnection::State::kAnswering) return;
    strong->connection.answer(std::move(response), monotonic_now());
    server.make_room(*strong);
    settle(strong);
    strong->work.reset();
  });
  if (client->connection.state() == ServerConnection::State::kAnswering) client->work = std::move(work);
}

void Server::Door::drop(const std::shared_ptr<Client>& client) {
  const auto kept = client;
  if (std::exchange(kept->dropped, true)) return;
  kept->transport.watched().unwatch();
  kept->timer.reset();
  kept->work.reset();
  if (--of_peer[kept->key] == 0) of_peer.erase(kept->key);
  clients.remove(kept);
}

Server::Server(event::Loop& loop, size_t answer_bytes) : loop_(loop), answer_bytes_(answer_bytes) {}

Server::~Server() = default;

void Server::open(Fd listening, DoorBounds bounds, Handler handler) {
  doors_.push_back(std::make_unique<Door>(*this, std::move(listening), bounds, std::move(handler)));
  Door& door = *doors_.back();
  door.listening.watch(loop_, EPOLLIN, [&door](uint32_t) { door.accept_some(); });
  door.again = loop_.timer([&door] { door.listening.set_events(EPOLLIN); });
}

size_t Server::connections() const {
  size_t count = 0;
  for (const auto& door : doors_) count += door->clients.size();
  return count;
}

size_t Server::answer_bytes() const {
  std::unordered_set<const std::string*> seen;
  size_t bytes = 0;
  for (const auto& door : doors_)
    for (const auto& client : door->clients)
      for (const Part& one : client->connection.response().body)
        if (one && seen.insert(one.get()).second) bytes += one->size();
  return bytes;
}

void Server::make_room(const Client& newest) {
  while (newest.connection.state() == ServerConnection::State::kWriting && answer_bytes() > answer_bytes_) {
    std::shared_ptr<Client> stalled;
    for (const auto& door : doors_)
      for (const auto& client : door->clients) {
        const bool holds =
            client->connection.state() == ServerConnection::State::kWriting && client.get() != &newest;
        if (holds && (!stalled || client->connection.moved() < stalled->connection.moved())) stalled = client;
      }
    if (!stalled) return;
    stalled->door.drop(stalled);
  }
}

}  // namespace sockmesh::http
