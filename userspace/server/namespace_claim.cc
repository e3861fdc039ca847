#include "server/namespace_claim.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/one_line.h"
#include "base/strings.h"

namespace sockmesh::server {

namespace {

constexpr int kBacklog = 8;       // who finds it full is told no more than the process id
constexpr int kAnswersATurn = 8;  // of the loop
constexpr int kTries = 3;         // the holder may go between our two looks

struct AbstractAddress {
  explicit AbstractAddress(std::string_view name) {
    address.sun_family = AF_UNIX;
    const size_t size = std::min(name.size(), sizeof address.sun_path - 1);
    std::memcpy(address.sun_path + 1, name.data(), size);  // path[0] stays NUL
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + size);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
  sockaddr_un address{};
  socklen_t length = 0;
};

Fd unix_socket() { return Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

// What the peer says until it closes, at most kMaxHolder bytes, one line. It may be anybody.
std::string hear(int fd) {
  std::string said;
  const auto deadline = std::chrono::steady_clock::now() + NamespaceClaim::kPatience;
  while (said.size() < NamespaceClaim::kMaxHolder) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd readable{fd, POLLIN, 0};
    if (left.count() <= 0 || poll(&readable, 1, static_cast<int>(left.count())) != 1) break;
    char bytes[NamespaceClaim::kMaxHolder];
    const ssize_t got = recv(fd, bytes, NamespaceClaim::kMaxHolder - said.size(), MSG_DONTWAIT);
    if (got <= 0) break;
    said.append(bytes, static_cast<size_t>(got));
  }
  return one_line(trim(said));
}

// Who has the name: "pid 4711, pod db-1.data, run-dir /run/sockmesh", or as much of it as can be known. No
// value: nobody any more.
std::optional<std::string> holder_of(const AbstractAddress& name) {
  const Fd asking = unix_socket();
  if (!asking) return "";
  if (connect(asking.get(), name.get(), name.length) != 0) {
    if (errno == ECONNREFUSED) return std::nullopt;
    return "";  // EAGAIN: its backlog is full; EPERM: a sandbox
  }
  std::string holder;
  ucred who{};
  socklen_t size = sizeof who;
  // 0: its process is in a PID namespace that ours does not see, as other containers' are.
  if (getsockopt(asking.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid > 0)
    holder = fmt::format("pid {}", who.pid);
  const std::string said = hear(asking.get());
  if (!said.empty()) holder += (holder.empty() ? "" : ", ") + said;
  return holder;
}

}  // namespace

Result<NamespaceClaim> NamespaceClaim::take(std::string holder, std::string_view name) {
  holder.resize(std::min(holder.size(), kMaxHolder - 1));
  const AbstractAddress address(name);
  for (int left = kTries; left > 0; --left) {
    Fd socket = unix_socket();
    if (socket && bind(socket.get(), address.get(), address.length) == 0 &&
        listen(socket.get(), kBacklog) == 0)
      return NamespaceClaim(event::WatchedFd(std::move(socket)), one_line(holder) + "\n");
    if (!socket || errno != EADDRINUSE) {
      spdlog::warn("{}; a second agent in this network namespace is noticed by its ports alone",
                   os_error(fmt::format("claiming @{}", name)).message);
      return NamespaceClaim({}, "");
    }
    const auto found = holder_of(address);
    if (!found) continue;
    return fail(
        Error{fmt::format("another agent has this network namespace ({}): expected one; end it, or let it "
                          "close its ports (sockmeshctl drain), first",
                          found->empty() ? fmt::format("@{} is taken", name) : *found),
              EADDRINUSE});
  }
  return fail(Error{fmt::format("claiming @{}: others come and go", name), EADDRINUSE});
}

void NamespaceClaim::answer(event::Loop& loop) {
  if (!socket_) return;
  socket_.watch(loop, EPOLLIN, [socket = socket_.get(), line = line_](uint32_t) {
    for (int left = kAnswersATurn; left > 0; --left) {
      const Fd asking(accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!asking) return;
      // Its buffer is empty and takes the line whole; who does not read it loses nothing but the line.
      [[maybe_unused]] const ssize_t sent =
          send(asking.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
  });
}

}  // namespace sockmesh::server
