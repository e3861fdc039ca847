#include "http/listening.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"

namespace sockmesh::http {

namespace {

constexpr int kBacklog = 1024;
constexpr int kSendBuffer = 128 * 1024, kReceiveBuffer = 16 * 1024;  // bytes; the kernel doubles them

void set_option(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);
}

Result<Fd> listening_socket(const sockaddr* name, socklen_t length, const std::string& where) {
  Fd fd(::socket(name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail(os_error("socket for " + where));
  if (name->sa_family != AF_UNIX) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (name->sa_family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  set_option(fd.get(), SOL_SOCKET, SO_SNDBUF, kSendBuffer);
  set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  if (::bind(fd.get(), name, length) != 0 || ::listen(fd.get(), kBacklog) != 0)
    return fail(os_error("listening on " + where));
  return fd;
}

Result<Fd> listen_at(const IpAddress& ip, uint16_t port, const std::string& where) {
  sockaddr_storage storage{};
  const socklen_t length = SocketAddress{ip, port}.to_sockaddr(storage);
  return listening_socket(reinterpret_cast<const sockaddr*>(&storage), length, where);
}

Result<sockaddr_un> socket_name(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof name.sun_path)
    return fail("admin socket '{}': the path has {} bytes, at most {} fit; choose a shorter run directory",
                path, path.size(), sizeof name.sun_path - 1);
  path.copy(name.sun_path, path.size());
  return name;
}

// Removes a socket that its listener left behind; an error when someone still listens on it.
Result<void> make_room(const std::string& path, const sockaddr_un& name) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode))
    return fail("admin socket '{}': something else is there, not a socket", path);
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 || errno == EAGAIN)
    return fail("admin socket '{}': another agent answers there; give this one its own --run-dir", path);
  if (::unlink(path.c_str()) != 0) return fail(os_error("removing stale socket " + path));
  return {};
}

}  // namespace

Result<Fd> listen_tcp(const std::string& address, uint16_t port) {
  const std::string where = fmt::format("{}:{}", address.empty() ? "*" : address, port);
  if (!address.empty()) {
    SOCKMESH_TRY(ip, IpAddress::parse(address));
    return listen_at(ip, port, where);
  }
  // "::" takes IPv4 too; a kernel without IPv6 has only the other.
  auto both = listen_at(IpAddress::any(true), port, where);
  if (both || both.error().os_error == EADDRINUSE || both.error().os_error == EACCES) return both;
  return listen_at(IpAddress::any(false), port, where);
}

Result<Fd> listen_unix(const std::string& path, std::optional<std::pair<uid_t, gid_t>> owner) {
  SOCKMESH_TRY(name, socket_name(path));
  SOCKMESH_CHECK(make_room(path, name));
  SOCKMESH_TRY(fd, listening_socket(reinterpret_cast<const sockaddr*>(&name), sizeof name, path));
  const auto set_up = [&]() -> Result<void> {
    if (::chmod(path.c_str(), 0660) != 0) return fail(os_error("chmod 0660 " + path));
    if (owner && ::chown(path.c_str(), owner->first, owner->second) != 0)
      return fail(os_error(fmt::format("chown {}:{} {}", owner->first, owner->second, path)));
    return {};
  }();
  if (!set_up) {
    ::unlink(path.c_str());
    return fail(set_up.error());
  }
  return fd;
}

}  // namespace sockmesh::http
