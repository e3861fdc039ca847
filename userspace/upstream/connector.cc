#include "upstream/connector.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/tcp_socket.h"

namespace sockmesh::upstream {

namespace {

struct Target {
  sockaddr_storage storage{};
  socklen_t length = 0;
  int family = AF_UNSPEC;
};

Result<Target> target_of(const model::EndpointAddress& to) {
  Target target;
  if (const auto* address = std::get_if<SocketAddress>(&to)) {
    target.length = address->to_sockaddr(target.storage);
    target.family = address->family();
    return target;
  }
  const auto* unix_path = std::get_if<model::UnixPath>(&to);
  if (unix_path == nullptr) return fail("'{}': expected an address, not a name", model::to_string(to));
  auto* address = reinterpret_cast<sockaddr_un*>(&target.storage);
  if (unix_path->path.empty() || unix_path->path.size() >= sizeof address->sun_path)
    return fail(Error{
        fmt::format("'{}': expected a path of 1 to {} bytes", unix_path->path, sizeof address->sun_path - 1),
        ENAMETOOLONG});
  address->sun_family = AF_UNIX;
  std::memcpy(address->sun_path, unix_path->path.c_str(), unix_path->path.size());
  if (unix_path->path.starts_with("@"))
    address->sun_path[0] = '\0';  // the abstract name space, Envoy's spelling
  target.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + unix_path->path.size() +
                                         (unix_path->path.starts_with("@") ? 0 : 1));
  target.family = AF_UNIX;
  return target;
}

bool set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

// Whether its SYN was ever acknowledged by a SYN: the kernel counts it as a byte (tcp_snd_una_update()), and
// an RST does not take that back. The error alone would not tell (ECONNABORTED and ETIMEDOUT come before and
// after), and asking for it takes it.
bool has_stood(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_bytes_acked > 0;
}

void set_keepalive(int fd, const model::Keepalive& keepalive) {
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  // The kernel refuses what is out of its range (1..32767, probes 1..127); its own values then stay.
  if (keepalive.probes) set(fd, IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(*keepalive.probes));
  if (keepalive.time) set(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(keepalive.time->count()));
  if (keepalive.interval) set(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(keepalive.interval->count()));
}

Result<void> bind_source(int fd, const SocketAddress& source, bool transparent) {
  const bool ipv6 = source.ip.is_v6();
  if (transparent) {
    if (!set(fd, ipv6 ? SOL_IPV6 : SOL_IP, ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1))
      return fail(os_error("IP_TRANSPARENT"));
  } else if (ipv6) {
    // ::6 is nobody's address: free binding lets it be used, as 127.0.0.6 is by being in 127.0.0.0/8.
    set(fd, SOL_IPV6, IPV6_FREEBIND, 1);
  }
  if (source.port == 0) {
    // The port is then chosen by connect(), where only the whole 4-tuple must be free: 28,000 connections per
    // destination instead of 28,000 in all.
    set(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  } else {
    // To the same end: a port may be shared by connections to different destinations, and connect() refuses a
    // 4-tuple that is taken (EADDRNOTAVAIL).
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  }
  sockaddr_storage storage{};
  const socklen_t length = source.to_sockaddr(storage);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&storage), length) != 0)
    return fail(os_error("bind " + source.to_string()));
  return {};
}

}  // namespace

Result<Connecting> start_connect(const model::EndpointAddress& to, const ConnectOptions& options,
                                 const net::NetworkNamespace& network) {
  SOCKMESH_TRY(target, target_of(to));
  auto made = network.socket(target.family, SOCK_STREAM);
  if (!made) return fail(made.error().within("connecting to " + model::to_string(to)));
  Fd fd = std::move(*made);

  if (target.family != AF_UNIX) {
    reset_on_close(fd.get());
    set(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);  // the application has decided how to cut its writes already
    if (options.keepalive) set_keepalive(fd.get(), *options.keepalive);
    if (options.mark != 0) set(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(options.mark));
    if (options.source && options.source->family() == target.family)
      SOCKMESH_CHECK(bind_source(fd.get(), *options.source, options.transparent));
  }
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&target.storage), target.length) == 0)
    return Connecting{std::move(fd), true};
  if (errno == EINPROGRESS) return Connecting{std::move(fd), false};
  return fail(os_error("connect " + model::to_string(to)));
}

int connect_result(int fd) {
  if (has_stood(fd)) return 0;
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

std::string connect_failure_text(bool immediate, int error) {
  return fmt::format("{} connect error: {}", immediate ? "immediate" : "delayed",
                     std::generic_category().message(error));
}

}  // namespace sockmesh::upstream
