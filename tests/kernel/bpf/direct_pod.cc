#include "direct_pod.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/strings.h"
#include "base/tcp_socket.h"
#include "test_support/eventually.h"
#include "test_support/temp_dir.h"

namespace sockmesh::test {

namespace {

void require(bool done, const std::string& what) {
  if (!done) throw std::runtime_error(os_error(what).message);
}

}  // namespace

SocketAddress endpoint(int number, uint16_t port, bool ipv6) {
  return {IpAddress::parse(fmt::format(fmt::runtime(ipv6 ? "fd01::{}" : "10.1.0.{}"), number)).value(), port};
}

SocketAddress service(int number, uint16_t port, bool ipv6) {
  return {IpAddress::parse(fmt::format(fmt::runtime(ipv6 ? "fd96::{:x}" : "10.96.0.{}"), number)).value(),
          port};
}

PodNamespace::PodNamespace() : home_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
  std::string commands;
  for (int i = 1; i <= 4; ++i)
    commands += fmt::format("addr add {}/32 dev lo\naddr add {}/128 dev lo nodad\n",
                            endpoint(i, 0).ip.to_string(), endpoint(i, 0, true).ip.to_string());
  netns_.ip(commands);
  require(setns(netns_.fd(), CLONE_NEWNET) == 0, "entering the pod's namespace");
}

PodNamespace::~PodNamespace() { (void)!setns(home_.get(), CLONE_NEWNET); }

DirectPod::DirectPod(bpf::DirectMaps::Options options) {
  auto maps = bpf::DirectMaps::open(options);
  if (!maps) throw std::runtime_error(maps.error().message);
  maps_ = std::move(*maps);
  auto events = bpf::DirectEvents::open(
      *maps_, [this](const direct_record& record) { records_.push_back(record); }, [this] { ++losses_; });
  if (!events) throw std::runtime_error(events.error().message);
  events_ = std::move(*events);
  if (const auto attached = maps_->attach(cgroup_.path()); !attached)
    throw std::runtime_error(attached.error().message);
  cgroup_.enter();
}

void DirectPod::serve(const SocketAddress& address, uint32_t number,
                      const std::vector<SocketAddress>& endpoints,
                      const std::function<void(bpf::DirectCluster&)>& shape) {
  bpf::DirectCluster cluster{.live = 100 * number};
  for (const SocketAddress& host : endpoints)
    cluster.hosts.push_back({host, 1, 100 * number + 1 + static_cast<uint32_t>(cluster.hosts.size())});
  if (shape) shape(cluster);
  table.destinations[address] = {.kind = DIRECT_ROUTE, .route = number};
  table.routes[number] = {{{number, 1}}};
  table.clusters[number] = cluster;
  apply();
}

void DirectPod::add_hole() const {
  netns().ip(
      "link add hole type veth peer name end\nlink set hole up\nlink set end up\n"
      "route add 10.1.0.9/32 dev hole src 10.1.0.1\nroute add fd01::9/128 dev hole src fd01::1\n"
      "neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev hole nud permanent\n"
      "neigh add fd01::9 lladdr 02:00:00:00:00:09 dev hole nud permanent");
}

void DirectPod::refuse(const SocketAddress& address, int error) {
  table.destinations[address] = {.kind = DIRECT_REFUSE, .error = error};
  apply();
}

void DirectPod::apply() {
  if (const auto applied = maps_->apply(bpf::difference(in_force_, table), ++generation_); !applied)
    throw std::runtime_error(applied.error().message);
  if (const auto settled = maps_->settle(); !settled) throw std::runtime_error(settled.error().message);
  in_force_ = table;
}

int32_t DirectPod::all_open() const {
  int32_t sum = 0;
  for (uint32_t i = 0; i < maps_->live_records(); ++i) sum += std::abs(maps_->live(i).open);
  return sum;
}

const std::vector<direct_record>& DirectPod::records() {
  events_->consume();
  return records_;
}

direct_record DirectPod::event(direct_record_kind kind, uint64_t cookie) {
  direct_record found{};
  const bool came = eventually([&] {
    for (const direct_record& record : records()) {
      if (record.kind != kind || record.flow.cookie != cookie) continue;
      found = record;
      return true;
    }
    return false;
  });
  INFO("event " << kind << " of socket " << cookie);
  REQUIRE(came);
  return found;
}

Fd tcp(bool ipv6, bool blocking) {
  Fd made(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0));
  require(static_cast<bool>(made), "socket");
  return made;
}

namespace {

// As the socket's family wants it.
socklen_t fill(const Fd& socket, const SocketAddress& address, sockaddr_storage& storage) {
  if (option_of(socket, SOL_SOCKET, SO_DOMAIN) != AF_INET6 || address.ip.is_v6())
    return address.to_sockaddr(storage);
  sockaddr_in6 mapped{};
  mapped.sin6_family = AF_INET6;
  mapped.sin6_port = htons(address.port);
  mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
  std::copy_n(address.ip.bytes().begin(), 4, mapped.sin6_addr.s6_addr + 12);
  storage = {};
  std::copy_n(reinterpret_cast<const char*>(&mapped), sizeof mapped, reinterpret_cast<char*>(&storage));
  return sizeof mapped;
}

}  // namespace

int connect_to(const Fd& socket, const SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t length = fill(socket, address, storage);
  return connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0 ? 0 : errno;
}

int bind_to(const Fd& socket, const SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t length = fill(socket, address, storage);
  return bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0 ? 0 : errno;
}

int disconnect(const Fd& socket) {
  const sockaddr none{AF_UNSPEC, {}};
  return connect(socket.get(), &none, sizeof none) == 0 ? 0 : errno;
}

Fd listen_at(const SocketAddress& address, int backlog) {
  Fd made = tcp(address.ip.is_v6());
  set_option(made, SOL_SOCKET, SO_REUSEADDR, 1);
  require(bind_to(made, address) == 0, "bind " + address.to_string());
  require(listen(made.get(), backlog) == 0, "listen " + address.to_string());
  return made;
}

Fd accept_from(const Fd& listener) {
  pollfd ready{listener.get(), POLLIN, 0};
  REQUIRE(poll(&ready, 1, static_cast<int>(patient(std::chrono::seconds(10)).count())) == 1);
  Fd made(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(made);
  return made;
}

SocketAddress peer_of(const Fd& socket) {
  const auto peer = SocketAddress::peer_of(socket.get());
  return peer ? *peer : SocketAddress{};
}

SocketAddress local_of(const Fd& socket) {
  const auto local = SocketAddress::local_of(socket.get());
  return local ? *local : SocketAddress{};
}

int option_of(const Fd& socket, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  require(getsockopt(socket.get(), level, name, &value, &length) == 0, "getsockopt");
  return value;
}

void set_option(const Fd& socket, int level, int name, int value) {
  require(setsockopt(socket.get(), level, name, &value, sizeof value) == 0, "setsockopt");
}

uint32_t mark_of(const Fd& socket) { return static_cast<uint32_t>(option_of(socket, SOL_SOCKET, SO_MARK)); }

uint64_t cookie_of(const Fd& socket) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  require(getsockopt(socket.get(), SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0, "SO_COOKIE");
  return cookie;
}

void reset_on_close(const Fd& socket) { sockmesh::reset_on_close(socket.get()); }

void send_all(const Fd& socket, size_t bytes) {
  const std::string piece(65536, 'x');
  while (bytes > 0) {
    const ssize_t sent = send(socket.get(), piece.data(), std::min(bytes, piece.size()), MSG_NOSIGNAL);
    require(sent > 0, "send");
    bytes -= static_cast<size_t>(sent);
  }
}

size_t receive(const Fd& socket, size_t most) {
  std::string piece(65536, 0);
  size_t have = 0;
  while (have < most) {
    const ssize_t got = recv(socket.get(), piece.data(), std::min(most - have, piece.size()), 0);
    if (got <= 0) break;
    have += static_cast<size_t>(got);
  }
  return have;
}

void receive_end(const Fd& socket) {
  char byte;
  REQUIRE(recv(socket.get(), &byte, 1, 0) == 0);
}

}  // namespace sockmesh::test
