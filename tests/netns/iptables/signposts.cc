#include "init_support/signposts.h"

#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "test_support/eventually.h"

namespace sockmesh::test {

namespace {

void must(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what + ": " + os_error("").message);
}

void set(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

bool bind_to(int fd, const SocketAddress& address) {
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(storage);
  return bind(fd, reinterpret_cast<sockaddr*>(&storage), length) == 0;
}

bool connect_to(int fd, const SocketAddress& address) {
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(storage);
  return connect(fd, reinterpret_cast<sockaddr*>(&storage), length) == 0;
}

void set_time_limit(int fd) {
  const auto limit = patient(std::chrono::milliseconds(2500));
  const timeval time{limit.count() / 1000, limit.count() % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

SocketAddress original_destination(int fd) {
  for (const int level : {IPPROTO_IP, IPPROTO_IPV6}) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    if (getsockopt(fd, level, SO_ORIGINAL_DST, &storage, &length) != 0) continue;
    if (const auto address = SocketAddress::from(reinterpret_cast<sockaddr*>(&storage), length))
      return *address;
  }
  return SocketAddress::local_of(fd).value();
}

// As on a thread of its own: the raw calls change this thread alone.
void become(uint32_t uid, uint32_t gid) {
  must(syscall(SYS_setresgid, gid, gid, gid) == 0, "setresgid");
  must(syscall(SYS_setresuid, uid, uid, uid) == 0, "setresuid");
}

}  // namespace

Signposts::~Signposts() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  (void)!write(stop_.get(), &one, sizeof one);
  thread_.join();
}

Signposts& Signposts::tcp(const std::string& name, uint16_t port) {
  add(name, port, SOCK_STREAM, std::nullopt);
  return *this;
}
Signposts& Signposts::udp(const std::string& name, uint16_t port) {
  add(name, port, SOCK_DGRAM, std::nullopt);
  return *this;
}
Signposts& Signposts::loopback_udp(const std::string& name, uint16_t port) {
  add(name, port, SOCK_DGRAM, std::nullopt, /*loopback=*/true);
  return *this;
}
Signposts& Signposts::transparent_proxy(uint16_t port, uint32_t mark) {
  add("proxy", port, SOCK_STREAM, mark);
  return *this;
}

void Signposts::add(const std::string& name, uint16_t port, int type, std::optional<uint32_t> proxy_mark,
                    bool loopback) {
  netns_.run([&] {
    become(uid_, gid_);
    for (const bool ipv6 : {false, true}) {
      const int family = ipv6 ? AF_INET6 : AF_INET;
      Fd fd(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      must(bool(fd), "socket");
      set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
      if (ipv6) set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
      if (proxy_mark)
        set(fd.get(), ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1);
      must(bind_to(fd.get(), {loopback ? IpAddress::loopback(ipv6) : IpAddress::any(ipv6), port}),
           "bind " + name);
      must(type == SOCK_DGRAM || listen(fd.get(), 64) == 0, "listen " + name);
      posts_.push_back({name, std::move(fd), type == SOCK_STREAM, proxy_mark});
    }
  });
}

void Signposts::start() {
  stop_ = Fd(eventfd(0, EFD_CLOEXEC));
  // Upstream sockets of the transparent proxy belong into the namespace as well.
  thread_ = std::thread([this] {
    netns_.run([this] {
      become(uid_, gid_);
      serve();
    });
  });
}

void Signposts::serve() {
  std::vector<pollfd> fds;
  for (const Post& post : posts_) fds.push_back({post.fd.get(), POLLIN, 0});
  fds.push_back({stop_.get(), POLLIN, 0});
  while (fds.back().revents == 0) {
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    for (size_t i = 0; i < posts_.size(); ++i) {
      if (fds[i].revents) answer(posts_[i]);
    }
  }
}

void Signposts::answer(const Post& post) {
  ++answered_;
  if (!post.stream) {
    char query[64];
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    if (recvfrom(post.fd.get(), query, sizeof query, 0, reinterpret_cast<sockaddr*>(&from), &length) < 0)
      return;
    (void)sendto(post.fd.get(), post.name.data(), post.name.size(), 0, reinterpret_cast<sockaddr*>(&from),
                 length);
    return;
  }
  const Fd accepted(accept4(post.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!accepted) return;
  // A proxy's reset must not come before the client's connect() has returned: it would fail then.
  set_time_limit(accepted.get());
  char question = 0;
  (void)recv(accepted.get(), &question, 1, 0);
  if (post.proxy_mark) {
    relay(accepted, *post.proxy_mark);
    return;
  }
  const auto peer = SocketAddress::peer_of(accepted.get());
  const std::string text =
      fmt::format("{} {} from {}", post.name, original_destination(accepted.get()).to_string(),
                  peer ? peer->ip.to_string() : "?");
  (void)send(accepted.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

// One answer long, as everything here is.
void Signposts::relay(const Fd& accepted, uint32_t mark) {
  const SocketAddress meant =
      SocketAddress::local_of(accepted.get()).value();  // TPROXY leaves the address as it was
  const SocketAddress client = SocketAddress::peer_of(accepted.get()).value();
  const bool ipv6 = meant.ip.is_v6();
  const Fd upstream(socket(meant.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  set(upstream.get(), ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1);
  set(upstream.get(), SOL_SOCKET, SO_MARK, static_cast<int>(mark));
  set_time_limit(upstream.get());
  std::string text = "proxy could not reach the application";
  char buffer[256];
  if (bind_to(upstream.get(), {client.ip, 0}) && connect_to(upstream.get(), meant)) {
    (void)send(upstream.get(), "?", 1, MSG_NOSIGNAL);
    const ssize_t n = recv(upstream.get(), buffer, sizeof buffer, MSG_WAITALL);
    if (n > 0) text = "proxy, then " + std::string(buffer, static_cast<size_t>(n));
  }
  (void)send(accepted.get(), text.data(), text.size(), MSG_NOSIGNAL);
  const linger reset{1, 0};
  setsockopt(accepted.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

std::string ask(const Netns& netns, const Question& question) {
  std::string answer;
  netns.run([&] {
    // A socket is its maker's, to the rules; only root may mark one.
    const auto make = [&] {
      return Fd(socket(question.to.family(), (question.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
    };
    Fd fd;
    if (question.mark != 0) {
      fd = make();
      set(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(question.mark));
    }
    become(question.uid, question.gid);
    if (!fd) fd = make();
    set_time_limit(fd.get());
    if (question.from || question.from_port) {
      const IpAddress from = question.from.value_or(IpAddress::any(question.to.ip.is_v6()));
      must(bind_to(fd.get(), {from, question.from_port}), "bind");
    }
    if (!connect_to(fd.get(), question.to)) {
      answer = errno == ECONNREFUSED ? "refused" : "no answer";
      return;
    }
    (void)send(fd.get(), "?", 1, MSG_NOSIGNAL);
    char buffer[256];
    const ssize_t n = recv(fd.get(), buffer, sizeof buffer, question.udp ? 0 : MSG_WAITALL);
    answer = n > 0 ? std::string(buffer, static_cast<size_t>(n))
                   : (n < 0 && errno == ECONNREFUSED ? "refused" : "no answer");
  });
  return answer;
}

}  // namespace sockmesh::test
