#include "iptables/probe.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/clock.h"
#include "base/fd.h"
#include "base/local_delivery.h"
#include "iptables/trace.h"
#include "net/listening_socket.h"
#include "net/original_destination.h"

namespace sockmesh::iptables {

namespace {

using Verdict = Probe::Verdict;
using std::chrono::milliseconds;

constexpr milliseconds kRetryEvery{1000};
constexpr int kCannotBecomeUser = 255;  // the child's report; others are errno, 0 is "connected"

struct Ends {
  SocketAddress client, target;
};

Ends ends(Family family, uint16_t port) {
  const bool v6 = family == Family::kV6;
  return {{IpAddress::loopback(v6), 0}, {local_delivery_address(v6), port}};
}

// In the child: only system calls. The raw ones, because glibc's wrappers speak to the other threads first,
// and there are none here any more.
[[noreturn]] void connect_as(uint32_t uid, uint32_t gid, const sockaddr* from, const sockaddr* to,
                             socklen_t length) {
  if (getegid() != gid && syscall(SYS_setresgid, gid, gid, gid) != 0) _exit(kCannotBecomeUser);
  if (geteuid() != uid && syscall(SYS_setresuid, uid, uid, uid) != 0) _exit(kCannotBecomeUser);
  const int fd = socket(to->sa_family, SOCK_STREAM, 0);
  if (fd < 0 || bind(fd, from, length) != 0 || connect(fd, to, length) != 0) _exit(errno & 0x7f);
  _exit(0);
}

// One family's probe.
class FamilyProbe {
 public:
  FamilyProbe(Family family, const Options& options, const Wanted& wanted)
      : family_(family),
        options_(options),
        wanted_(wanted),
        uid_(proxy_uids(options, wanted.facts).front()),
        gid_(proxy_gids(options, wanted.facts).front()),
        ends_(ends(family, options.probe_port)) {}

  Probe run(bool until_timeout) {
    if (!expected())
      return say(Verdict::kImpossible, "the options exempt the probe's connection from capture");
    const auto deadline = monotonic_now() + options_.probe_timeout;
    if (const auto listening = listen_both(); !listening)
      return say(Verdict::kImpossible, listening.error().message + " (does the agent run already?)");
    while (true) {
      const auto attempt_ends = until_timeout ? std::min(deadline, monotonic_now() + kRetryEvery) : deadline;
      Probe attempt = try_once(attempt_ends);
      const bool retry = until_timeout && attempt.verdict != Verdict::kProved && monotonic_now() < deadline;
      if (!retry) return attempt;
      (void)captured_before(
          attempt_ends);  // nothing is under way: this only lets the rest of the second pass
    }
  }

 private:
  std::string_view name() const { return family_ == Family::kV4 ? "IPv4" : "IPv6"; }
  Probe say(Verdict verdict, std::string_view why) const {
    return {verdict, fmt::format("{} capture probe to {}: {}", name(), ends_.target.to_string(), why)};
  }

  // What the rule values promise. Nothing else may be demanded of the kernel.
  bool expected() const {
    const Packet packet{.source = ends_.client.ip,
                        .destination = ends_.target.ip,
                        .port = ends_.target.port,
                        .uid = uid_,
                        .gid = gid_,
                        .interface = "lo"};
    const Trace predicted = trace(wanted_.plan, packet, wanted_.facts.group_ids);
    return predicted.fate == Trace::Fate::kRedirected;
  }

  // Both of the proxy's ports, so that a connection sent to the wrong one is noticed, not lost.
  Result<void> listen_both() {
    Result<void> inbound;
    for (const uint16_t port : {options_.inbound_port, options_.proxy_port}) {
      // An agent may listen there already, or come while we do.
      auto fd = net::listen_on({ends_.client.ip, port}, {.group = net::PortGroup::kMember});
      if (fd)
        listeners_.push_back(*std::move(fd));
      else if (port == options_.inbound_port)
        return fail(std::move(fd).error());
    }
    return {};
  }

  // Waits for a connection whose original destination is the probe's.
  bool captured_before(MonotonicTime deadline) {
    std::vector<pollfd> fds;
    for (const Fd& listener : listeners_) fds.push_back({listener.get(), POLLIN, 0});
    while (true) {
      const auto left = std::chrono::ceil<milliseconds>(deadline - monotonic_now());
      if (left.count() <= 0) return false;
      const int ready = poll(fds.data(), fds.size(), static_cast<int>(left.count()));
      if (ready < 0 && errno != EINTR) return false;
      for (const pollfd& entry : fds) {
        if (ready <= 0 || !entry.revents) continue;
        const Fd accepted(accept4(entry.fd, nullptr, nullptr, SOCK_CLOEXEC));
        if (!accepted) continue;
        const auto captured = net::original_destination(accepted.get(), options_.inbound_port);
        if (captured && captured->destination == ends_.target) return true;
      }
    }
  }

  Probe try_once(MonotonicTime deadline) {
    sockaddr_storage from, to;
    ends_.client.to_sockaddr(from);
    const socklen_t length = ends_.target.to_sockaddr(to);
    const pid_t child = fork();
    if (child < 0) return say(Verdict::kImpossible, os_error("fork").message);
    if (child == 0)
      connect_as(uid_, gid_, reinterpret_cast<sockaddr*>(&from), reinterpret_cast<sockaddr*>(&to), length);

    // A connection that was not captured is refused at once, because nobody listens there; the child's end is
    // told by its pidfd.
    const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
    pollfd ended{pidfd.get(), POLLIN, 0};
    const auto left = std::chrono::ceil<milliseconds>(deadline - monotonic_now());
    const bool in_time = pidfd && poll(&ended, 1, static_cast<int>(std::max<long>(left.count(), 0))) == 1;
    if (!in_time) kill(child, SIGKILL);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!in_time) return say(Verdict::kDisproved, "no answer in time");
    const int report = WIFEXITED(status) ? WEXITSTATUS(status) : ECANCELED;
    if (report == kCannotBecomeUser)
      return say(Verdict::kImpossible, fmt::format("cannot become uid {} gid {}, the proxy's", uid_, gid_));
    if (report == ENETUNREACH || report == EADDRNOTAVAIL)
      return say(Verdict::kImpossible, os_error("no way there (is lo up?)", report).message);
    if (report != 0) return say(Verdict::kDisproved, os_error("not captured", report).message);
    if (captured_before(deadline)) return say(Verdict::kProved, "captured");
    return say(Verdict::kImpossible, "somebody else listens too and took the connection");
  }

  const Family family_;
  const Options& options_;
  const Wanted& wanted_;
  const uint32_t uid_, gid_;
  const Ends ends_;
  std::vector<Fd> listeners_;
};

}  // namespace

Probe probe_capture(const Options& options, const Wanted& wanted, bool until_timeout) {
  Probe worst = FamilyProbe(Family::kV4, options, wanted).run(until_timeout);
  if (!wanted.plan.ipv6 || worst.verdict == Verdict::kDisproved) return worst;
  Probe v6 = FamilyProbe(Family::kV6, options, wanted).run(until_timeout);
  const bool v6_says_more = v6.verdict == Verdict::kDisproved || worst.verdict == Verdict::kProved;
  return v6_says_more ? v6 : worst;
}

}  // namespace sockmesh::iptables
